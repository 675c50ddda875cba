"""How long an epoch will take, measured on a few batches before training starts."""

from __future__ import annotations

import copy
import time
from statistics import median

import torch
from torch import nn


def estimate_epoch_seconds(
    network: nn.Module,
    input_shape: tuple[int, ...],
    batch_size: int,
    steps: int,
    device: str | torch.device = "cpu",
    *,
    batches: int = 2,
) -> float:
    """Time real training steps on a copy of a network, and say how long an epoch of such steps takes.

    A step is forward, backward and an AdamW update on random images; reading and augmenting samples, and
    measuring the score after an epoch, come on top. One step more is run first, because the first one also sets
    things up.

    Parameters
    ----------
    network
        With memory (not on the "meta" device); it is not changed.
    input_shape
        ``(C, Y, X)``.
    batch_size, steps
        Images in a step, and steps in an epoch.
    device
        Where to compute.
    batches
        Number of steps that are timed; the median counts.

    Returns
    -------
    float
        Seconds.
    """
    device = torch.device(device)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((batch_size, *input_shape), generator=generator).to(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):  # dropout must not move anybody's random numbers
        copied = copy.deepcopy(network).to(device).train()
        learning = [p for p in copied.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(learning) if learning else None
        seconds = []
        for _ in range(1 + batches):
            _finish(device)
            start = time.perf_counter()
            loss = copied(images).float().square().mean()
            if optimiser is not None:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            _finish(device)
            seconds.append(time.perf_counter() - start)
    return median(seconds[1:]) * steps


def _finish(device: torch.device) -> None:
    """Wait until the device has done what it was told, so that a clock means something."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
