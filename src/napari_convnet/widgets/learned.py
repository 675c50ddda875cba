"""Which images of a project a model has learned from, through the models that it and these began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_convnet.project import RunRecord

#: What a training may begin with that holds nothing of a person's images.
_FOREIGN_STARTS = ("random", "starter", "imagenet")


@dataclass(frozen=True)
class Learned:
    """What is known of the images that a model learned from.

    Parameters
    ----------
    image_ids
        Of the project's images.
    is_all
        Whether there can be no others among the project's images.
    """

    image_ids: frozenset[int]
    is_all: bool


def learned_images(scores: Mapping[str, Any], runs: Sequence[RunRecord]) -> Learned:
    """Follow a model's training, and that of the model it began with, and so on, through a project's runs.

    Parameters
    ----------
    scores
        Of the model's card.
    runs
        Of the project.
    """
    found: set[int] = set()
    seen: set[str] = set()
    while True:
        own = _data_hash(scores)
        given = [run for run in runs if own and _data_hash(run.scores) == own]
        known = [run.data["image_ids"] for run in given if "image_ids" in run.data]
        found.update(*known)
        start = scores.get("repeat", {}).get("start") or {}
        if not known or own in seen:
            return Learned(frozenset(found), False)
        if start.get("kind") in _FOREIGN_STARTS:
            return Learned(frozenset(found), True)
        before = [run for run in runs if run.id == start.get("run")]
        if not before or before[0].model_sha256 != start.get("sha256"):
            return Learned(frozenset(found), False)
        seen.add(own)
        scores = before[0].scores


def _data_hash(scores: Mapping[str, Any]) -> str:
    """Return the hash of what a training was given, as the scores of its model and of its run tell it; else ""."""
    record = scores.get("repeat")
    return str(record.get("data_sha256", "")) if isinstance(record, Mapping) else ""
