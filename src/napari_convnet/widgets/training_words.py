"""What is said of a training: how good its model is, smaller batches, and why one cannot go on."""

from __future__ import annotations

from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.position_training import describe_located
from napari_convnet.widgets.resuming import Unfinished


def describe_scores(model) -> str:
    """Say how good a model is and on what that was measured."""
    scores = model.card.scores
    held_out = scores.get("validation")
    if not held_out:
        return f"Trained. {scores['warning']}"
    if model.card.locate:
        return f"{describe_located(model.card)} {scores['warning']}".strip()
    key, name, what = (
        ("mean_iou", "Mean IoU", "pixels")
        if model.card.task == "segment"
        else ("accuracy", "Accuracy", "samples")
    )
    text = f"{name} {held_out[key]:.3f} on {held_out['n']:,} held-out {what} ({scores['measured_on']})."
    return f"{text} {scores['warning']}".strip()


def batch_text(batch_size: int) -> str:
    """Say that memory ran out and the training goes on."""
    return (
        f"Memory ran out, so training goes on with smaller batches: now {batch_size} samples a step. What was learned "
        "in earlier epochs is kept."
    )


def refused_resume(result: JobResult, goes_on: Unfinished | None) -> str:
    """Say why a training failed; one that cannot go on may do so with the same images open."""
    opened = goes_on.run.data.get("opened") if goes_on else None
    if not opened or result.failure is None or result.failure.code != "CN-204":
        return result.error_text
    names = ", ".join(f"'{name[:40]}'" for name in opened[:5])
    return f"{result.error_text} When it began, open images were {names}: open them as they were and resume again."
