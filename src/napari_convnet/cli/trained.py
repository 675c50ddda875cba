"""What a training leaves: the model on the disk, its scores in words, a report."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_convnet.cli.console import follow, say
from napari_convnet.errors import UserError
from napari_convnet.evaluation import evaluate_segmentation, versions
from napari_convnet.folders import ImagePair
from napari_convnet.model_file import Model, save_model
from napari_convnet.samples import TrainingSet

_UNITS = {"classify": "images", "segment": "annotated pixels", "locate": "positions"}
_MAIN_SCORES = {"classify": "accuracy", "segment": "mean_iou", "locate": "f1"}


def training_report(
    model: Model, path: Path, samples: TrainingSet, data: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """Return what `train` reports."""
    return {
        "command": f"train {samples.task}",
        "data": {
            **data,
            "unit": _UNITS[samples.task],
            "training": samples.n_training,
            "validation": samples.n_validation,
            "held_out": samples.description,
        },
        "model": str(path),
        "network": model.card.network,
        "settings": model.card.training,
        "seed": model.card.training["seed"],
        "scores": model.card.scores,
        "versions": versions(),
        "seconds": round(seconds, 2),
    }


def save_or_rescue(model: Model, path: Path) -> Path:
    """Save a model; where that fails, put it into a temporary folder rather than lose it."""
    try:
        save_model(model, path)
    except UserError as error:
        rescue = Path(tempfile.mkdtemp(prefix="napari-convnet-")) / path.name
        try:
            save_model(model, rescue)
        except UserError:
            rescue.parent.rmdir()
            raise error from None
        raise UserError(
            error.code,
            f"'{path.name}' could not be written to its folder. An older copy is intact. The new "
            f"model is safe in '{rescue}'; move it where you want it.",
            details=error.message,
        ) from error
    return path


def say_scores(model: Model) -> None:
    """Say how good a model is on what it never saw, and what speaks against that figure."""
    scores: dict[str, Any] = dict(model.card.scores)
    if "started_from" in scores:
        say(scores["started_from"]["text"])
    if "features" in scores:
        found = scores["features"]
        say(
            f"{found['count']:,} features; {found['classifier']}, C = {found['C']:g} ({found['chosen_by']})"
        )
    for part, what in (("validation", "held-out data"), ("test", "test data")):
        found = scores.get(part)
        if not found:
            continue
        score = _MAIN_SCORES[model.card.task]
        if score not in found:  # one position a patch
            score = "root_mean_square_error_pixels"
        name = score.replace("_", " ").replace("iou", "IoU")
        ends = found.get(f"{score}_interval")
        between = f" ({ends[0]:.4f} to {ends[1]:.4f})" if ends else ""
        where = found.get("measured_on", scores["measured_on"])
        say(f"{name} {found[score]:.4f}{between} on {what}: {where}")
    if scores["warning"]:
        say(str(scores["warning"]), "yellow")


def with_test_pairs(
    model: Model, pairs: Sequence[ImagePair], instances: bool, device: str
) -> Model:
    """Score a segmentation on test images, once, and let the model's card tell it apart from validation."""
    if not pairs:
        return model
    steps = evaluate_segmentation(model, pairs, instances=instances, device=device)
    report = follow(steps, "testing")
    measured_on = f"{len(pairs)} test images that training never saw"
    scores = {**model.card.scores, "test": {"measured_on": measured_on, **report}}
    return replace(model, card=model.card.model_copy(update={"scores": scores}))
