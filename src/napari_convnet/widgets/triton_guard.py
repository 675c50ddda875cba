"""Keeps triton out of a process that it would crash.

Making any torch optimiser imports triton where it is installed (CUDA builds of torch on Linux). Its
copy of LLVM kills the process when another LLVM is already there, and Mesa's OpenGL brings one as
soon as napari draws without NVIDIA's driver (measured: torch 2.15 with its triton, Mesa 22.3
llvmpipe; compare pytorch/pytorch#96060). A plugin always comes after the viewer, so the order is
given. torch runs without triton; only ``torch.compile`` on graphics cards, which we do not use,
needs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

_MAPS = Path("/proc/self/maps")  # the libraries of this process


def keep_triton_out() -> None:
    """Make ``import triton`` fail politely from now on, if it would crash the process."""
    if sys.platform != "linux" or "triton" in sys.modules:
        return
    if "libLLVM" in _MAPS.read_text(errors="replace"):
        sys.modules["triton"] = None  # type: ignore[assignment]  # how Python says "not importable"
