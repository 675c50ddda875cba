"""Draws that torch makes by itself (first weights, dropout), repeatable and without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators for a block, and leave them as they were.

    Parameters
    ----------
    seed, step
        Each pair gives other numbers.
    device
        Where the block computes; the CPU's generator is always seeded.
    """
    value = (seed * 1_000_003 + step) % 2**63
    cpu_state = torch.get_rng_state()
    accelerator = None if device.type == "cpu" else torch.get_device_module(device)
    accelerator_state = None if accelerator is None else accelerator.get_rng_state()
    # Not torch.manual_seed, which would also seed devices that are not used here.
    torch.default_generator.manual_seed(value)
    if accelerator is not None:
        accelerator.manual_seed(value)
    try:
        yield
    finally:
        torch.set_rng_state(cpu_state)
        if accelerator is not None:
            accelerator.set_rng_state(accelerator_state)
