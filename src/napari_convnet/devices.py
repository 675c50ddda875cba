"""Which device computes: found by trying a real computation, not by asking whether one is said to exist."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from napari_convnet.errors import UserError

#: Threads that torch takes by itself: one a core, or what the environment (OMP_NUM_THREADS) asks for.
_CORES = torch.get_num_threads()


def use_all_cores() -> None:
    """Let torch compute on all cores in the calling thread.

    A worker thread has a number of its own, which the main thread cannot set, and the same number
    everywhere makes a training in the viewer bit by bit the one of a script.
    """
    torch.set_num_threads(_CORES)


def memory_layout(
    device: torch.device, network: torch.nn.Module | None = None
) -> torch.memory_format:
    """Return how networks and images lie in memory: channels last on a CPU, whose convolutions are faster so.

    By a quarter while training (benchmarks/training_speed.py), and by more while predicting. torch knows that layout
    for images only, not for the stacks of a ``network`` of three dimensions.
    """
    is_flat = getattr(network, "dimensions", 2) == 2
    return torch.channels_last if device.type == "cpu" and is_flat else torch.contiguous_format


@dataclass(frozen=True)
class DeviceReport:
    """What this computer can train on.

    Parameters
    ----------
    device
        ``"cuda"``, ``"mps"`` or ``"cpu"``: what ``auto`` means here.
    text
        One line for a person, naming the installed torch build.
    install_command
        How to get a build for the graphics card, where only a CPU build is installed; else empty.
    """

    device: str
    text: str
    install_command: str = ""


def computes(device: str) -> str:
    """Try a small convolution with its gradient on a device; return the error's text, or "" when it works."""
    try:
        image = torch.ones(1, 1, 8, 8, device=device, requires_grad=True)
        F.conv2d(image, torch.ones(1, 1, 3, 3, device=device)).sum().backward()
        if image.grad is None or not torch.isfinite(image.grad).all().item():
            return "the result was wrong"
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return ""


def report_devices() -> DeviceReport:
    """Try what is there and say it in one line."""
    build = f"torch {torch.__version__}"
    reasons = []
    for device, available in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ):
        if not available:
            continue
        problem = computes(device)
        if not problem:
            name = torch.cuda.get_device_name() if device == "cuda" else "Apple graphics"
            return DeviceReport(device, f"{name} ({build})")
        reasons.append(f"{device} does not work: {problem}")
    has_gpu_build = bool(torch.version.cuda or torch.version.hip) or platform.system() == "Darwin"
    kind = "no usable graphics card" if has_gpu_build else "CPU-only build"
    text = f"CPU, {_CORES} threads ({build}, {'; '.join(reasons) or kind})"
    command = (
        ""
        if has_gpu_build
        else (
            "pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cu130"
        )
    )
    return DeviceReport("cpu", text, command)


def choose_device(wanted: str = "auto") -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    UserError
        If a device was named that does not compute here.
    """
    if wanted == "auto":
        return torch.device(report_devices().device)
    problem = computes(wanted)
    if problem:
        raise UserError(
            "CN-203",
            f"Device '{wanted}' does not work on this computer. Nothing was changed. Choose 'auto' or 'cpu'.",
            details=problem,
        )
    return torch.device(wanted)
