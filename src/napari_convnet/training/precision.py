"""Mixed precision: bfloat16 where a graphics card gains from it, never on a CPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def uses_bfloat16(wanted: str, device: torch.device) -> bool:
    """Return whether to compute in bfloat16.

    Parameters
    ----------
    wanted
        ``"auto"``: on NVIDIA cards with units for it (compute capability 8.0, from 2020 on);
        ``"on"``: on every graphics card that knows the type; ``"off"``: never.
    """
    if wanted == "off" or device.type != "cuda" or not torch.cuda.is_available():
        return False
    if wanted == "on":
        return torch.cuda.is_bf16_supported()
    return torch.version.cuda is not None and torch.cuda.get_device_capability(device) >= (8, 0)


def autocast(uses_it: bool, device: torch.device) -> AbstractContextManager:
    """Return the context in which a network computes."""
    return torch.autocast(device.type, torch.bfloat16) if uses_it else nullcontext()
