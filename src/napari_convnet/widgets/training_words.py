"""What is said of a training: how good its model is, smaller batches, and why one cannot go on."""

from __future__ import annotations

from napari_convnet.scores import read_report
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.position_training import describe_located
from napari_convnet.widgets.resuming import Unfinished
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.training_data import missing_annotations
from napari_convnet.widgets.training_job import Trained

_ANNOTATIONS = {"classify": "annotations", "segment": "painted pixels", "locate": "positions"}
_UNITS = {"classify": "cells", "segment": "pixels", "locate": "positions"}


def describe_annotations(session: Session) -> tuple[str, str]:
    """Say what training would use, and what it lacks, if anything; the latter also by itself."""
    names = [info.name for info in session.classes]
    counts = session.class_counts(with_test=False)
    parts = ", ".join(f"{name}: {count:,}" for name, count in zip(names, counts, strict=True))
    missing = missing_annotations(session, counts)
    text = f"{sum(counts):,} {_ANNOTATIONS[session.task]} ({parts}). {missing}"
    return text.strip(), missing


def result_text(trained: Trained, notes: tuple[str, ...]) -> str:
    """Say how good a model is, on held-out samples and on test images, and what else is to be known."""
    card = trained.model.card
    said = (describe_scores(trained.model), describe_test(card), trained.remark, *notes)
    return "\n".join(filter(None, said))


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


def describe_test(card) -> str:
    """Say how good a model is on test images, and how sure that is; empty where there were none."""
    report = read_report(card.scores, card.task, "test")
    if report is None or not report.headline:
        return ""
    found = card.scores["test"]
    best = f"{report.headline[0].name} {report.headline[0].text}"
    error = found.get("root_mean_square_error_pixels")
    if card.locate is not None and card.locate.mode == "patch" and error is not None:
        best = f"root mean square error {error:.2g} px"
    elif card.task == "locate":
        best += f" within {found['tolerance_pixels']:g} px"
    n = found["pixels"]["n"] if card.task == "segment" else found["n"]
    images = found["data"]["images"]
    start = card.scores.get("repeat", {}).get("start", {}).get("kind")
    unseen = (
        "this training never saw (the model that it began from may have)"
        if start == "model"
        else "training never saw"
    )
    text = (
        f"Test: {best} on {n:,} {_UNITS[card.task]} of {images} "
        f"image{'s' * (images != 1)} that {unseen}."
    )
    return f"{text} {report.warning}".strip()


def smaller_text(event) -> str:
    """Say that memory ran out and the training goes on, with smaller batches or patches."""
    how = (
        f"smaller patches: now {event.patch_size} x {event.patch_size} pixels"
        if hasattr(event, "patch_size")
        else f"smaller batches: now {event.batch_size} samples a step"
    )
    return f"Memory ran out, so training goes on with {how}. What was learned in earlier epochs is kept."


def refused_resume(result: JobResult, goes_on: Unfinished | None) -> str:
    """Say why a training failed; one that cannot go on may do so with the same images open."""
    opened = goes_on.run.data.get("opened") if goes_on else None
    if not opened or result.failure is None or result.failure.code != "CN-204":
        return result.error_text
    names = ", ".join(f"'{name[:40]}'" for name in opened[:5])
    return f"{result.error_text} When it began, open images were {names}: open them as they were and resume again."
