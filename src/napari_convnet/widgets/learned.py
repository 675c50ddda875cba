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
        record = _record(scores)
        own = _identity(record)
        given = [run for run in runs if own and _identity(_record(run.scores)) == own]
        known = [ids for run in given if (ids := _image_ids(run)) is not None]
        found.update(*known)
        start = record.get("start") or {}
        if not known or own in seen:
            return Learned(frozenset(found), False)
        if start.get("kind") in _FOREIGN_STARTS:
            return Learned(frozenset(found), True)
        before = [run for run in runs if run.id == start.get("run")]
        if not before or before[0].model_sha256 != start.get("sha256"):
            return Learned(frozenset(found), False)
        seen.add(own)
        scores = before[0].scores


def _record(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a training tells of its beginning, one that can be repeated or a live one; else nothing."""
    found = (scores.get(name) for name in ("repeat", "live"))
    return next((record for record in found if isinstance(record, Mapping)), {})


def _identity(record: Mapping[str, Any]) -> str:
    """Return what a model and its run share: the hash of what was given, or a live training's own name; else ""."""
    return str(record.get("data_sha256") or record.get("id") or "")


def _image_ids(run: RunRecord) -> Sequence[int] | None:
    """Return the images that a run learned from; live ones are known when it ends. None where they are not known."""
    found = run.data.get("image_ids", _record(run.scores).get("image_ids"))
    return found if isinstance(found, list) else None
