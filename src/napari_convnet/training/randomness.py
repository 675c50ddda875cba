"""Draws that torch makes by itself (first weights, dropout), repeatable and without a trace."""

from __future__ import annotations

import os
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


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """Let torch choose algorithms that repeat to the bit, for a block; on a CPU all of them do.

    Where torch knows none for an operation it warns and goes on.
    """
    if not wanted:
        yield
        return
    # cuBLAS reads this when it is first used; without it torch warns.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
        torch.backends.cudnn.benchmark = benchmark
