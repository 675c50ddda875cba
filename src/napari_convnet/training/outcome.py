"""What a training leaves: the best network, and what is known of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from napari_convnet.training.loop import TrainingLoop
from napari_convnet.training.overfitting import advice, overfits_since
from napari_convnet.training.smaller import has_patches


def best_network(loop: TrainingLoop) -> nn.Module:
    """Return the best network, on the CPU and in evaluation mode."""
    loop.module.load_state_dict(loop.best.weights)
    return loop.module.cpu().to(memory_format=torch.contiguous_format).eval()


def patch_sizes(loop: TrainingLoop) -> tuple[int, int]:
    """Return the side in pixels of the patches at the end and as wanted; 0 where samples are not cut from images."""
    if not has_patches(loop.samples):
        return 0, 0
    return loop.samples.patch_size, loop.wanted_samples.patch_size


def is_reduced(loop: TrainingLoop) -> bool:
    """Return whether memory ran out, so that batches or patches became smaller."""
    side, wanted = patch_sizes(loop)
    return loop.batch_size < loop.settings.batch_size or side < wanted


def describe_scores(loop: TrainingLoop) -> dict[str, Any]:
    """Return the best network's scores and what they were measured on, as JSON values."""
    best = loop.best
    since = overfits_since(loop.training_losses, loop.validation_losses)
    rough = best.mark.warning if best.mark else ""
    kept = loop.keep.problem if loop.keep else ""
    wanted = loop.settings.batch_size
    reduced = f"Memory ran out with {wanted} samples a step; trained with {loop.batch_size}."
    reduced = reduced if loop.batch_size < wanted else ""
    side, wanted_side = patch_sizes(loop)
    smaller = f"Memory ran out with patches of {wanted_side} pixels; trained with {side}."
    smaller = smaller if side < wanted_side else ""
    warnings = (loop.stopped_because, loop.samples.warning, rough, reduced, smaller, kept)
    described: dict[str, Any] = {
        "measured_on": loop.samples.description,
        "warning": " ".join(filter(None, warnings)),
        "best_epoch": best.epoch,
        "epochs_trained": loop.epochs_trained,
        "steps": loop.step,
        "best_step": best.step,
        "ended_by": loop.ended_by,
        "seconds": round(loop.clock.seconds, 2),
        "waiting_for_data": round(loop.feeder.waiting_seconds / max(1e-9, loop.clock.seconds), 4),
        "batch_size": loop.batch_size,
    }
    if side:
        described["patch_size"] = side
    if since:
        described["overfitting"] = {"epoch": since, "advice": advice(since)}
    if best.mark is not None:
        described["validation"] = best.mark.scores
    return described
