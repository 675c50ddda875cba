"""Memory: how much there is, and that it ran out, in the many words in which libraries say so."""

from __future__ import annotations

import torch

_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
    "not enough memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that memory, of the computer or of its graphics card, ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in text for word in _WORDS)


def available_memory(device: torch.device) -> int | None:
    """Return the bytes that a job may take on a device, or None where nobody tells."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        import psutil  # comes with napari
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def free_memory(device: torch.device) -> None:
    """Give back to the device what torch keeps in reserve."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
