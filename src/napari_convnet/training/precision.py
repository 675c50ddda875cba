"""Mixed precision: bfloat16 where a graphics card gains from it, and on request on processors that know it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def uses_bfloat16(wanted: str, device: torch.device) -> bool:
    """Return whether to compute in bfloat16.

    Parameters
    ----------
    wanted
        ``"auto"``: on NVIDIA cards with units for it (compute capability 8.0, from 2020 on);
        ``"on"``: on every graphics card that knows the type, and on a CPU with instructions for it;
        ``"off"``: never.
    """
    if wanted == "off":
        return False
    if device.type == "cpu":
        return wanted == "on" and cpu_knows_bfloat16()
    if device.type != "cuda" or not torch.cuda.is_available():
        return False
    if wanted == "on":
        return torch.cuda.is_bf16_supported()
    return torch.version.cuda is not None and torch.cuda.get_device_capability(device) >= (8, 0)


def cpu_knows_bfloat16() -> bool:
    """Return whether this processor multiplies in bfloat16 itself; emulated, it would be slower than float32."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def autocast(uses_it: bool, device: torch.device) -> AbstractContextManager:
    """Return the context in which a network computes."""
    return torch.autocast(device.type, torch.bfloat16) if uses_it else nullcontext()
