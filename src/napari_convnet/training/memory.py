"""Memory that ran out, in the many words in which libraries say so."""

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


def free_memory(device: torch.device) -> None:
    """Give back to the device what torch keeps in reserve."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
