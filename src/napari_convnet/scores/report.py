"""A report read back from the JSON of a card or a run, so that it can be shown: nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Parts of a card's scores, and what they are called.
PARTS = {"validation": "held-out samples", "test": "test images"}
_UNITS = {"classify": "samples", "segment": "pixels", "locate": "positions"}
#: Names that are told; of more only the number is.
_NAMES_TOLD = 6
#: Scores by the name that a report gives them: what they are called, and what they mean.
_MEANINGS = {
    "accuracy": ("accuracy", "Share that is right."),
    "balanced_accuracy": ("balanced accuracy", "Mean recall of the classes."),
    "mean_iou": ("mean IoU", "Mean intersection over union of the classes."),
    "average_precision_at_iou_0.5": ("AP50", "Objects found, of all found, missed and wrong ones, at IoU 0.5."),
    "precision": ("precision", "Of what was called so, the share that is so."),
    "recall": ("recall", "Of what is so, the share that was called so."),
    "f1": ("F1", "Harmonic mean of precision and recall."),
    "auc": ("AUC", "Area under the ROC curve, this class against all others."),
    "average_precision": ("avg. precision", "Mean precision over all recalls, this class against all others."),
    "iou": ("IoU", "Intersection over union."),
    "dice": ("Dice", "Twice the intersection over the sum; for pixels the same as F1."),
    "share_within_tolerance": ("within tolerance", "Share of the positions that are as near to the truth."),
    "root_mean_square_error_pixels": ("RMS error (px)", "Root mean square distance to the truth in pixels."),
    "root_mean_square_error_um": ("RMS error", "Root mean square distance to the truth."),
    "median_error_pixels": ("median error (px)", "Half of the positions are nearer to the truth."),
    "largest_error_pixels": ("largest error (px)", "Largest distance to the truth in pixels."),
}  # fmt: skip
_HEADLINES = {
    "classify": ("accuracy", "balanced_accuracy"),
    "segment": ("mean_iou", "average_precision_at_iou_0.5"),
    "locate": ("f1", "precision", "recall", "share_within_tolerance", "root_mean_square_error_pixels"),
}  # fmt: skip
_COLUMNS = {
    "classify": ("precision", "recall", "f1", "auc", "average_precision"),
    "segment": ("iou", "dice", "precision", "recall"),
    "locate": (
        "precision", "recall", "f1", "share_within_tolerance", "root_mean_square_error_pixels",
        "root_mean_square_error_um", "median_error_pixels", "largest_error_pixels",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A score and its 95 % interval, None where it is not known."""

    key: str
    value: float | None
    interval: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """What the score is called."""
        return _MEANINGS[self.key][0]

    @property
    def text(self) -> str:
        """The score with its interval, to three digits; "-" where it is not known."""
        if self.value is None:
            return "-"
        if self.interval is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.interval[0]:.3f} to {self.interval[1]:.3f})"


@dataclass(frozen=True)
class ClassRow:
    """Scores of one class; ``n`` is None where a report does not tell it."""

    name: str
    n: int | None
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Calibration:
    """Reliability of probabilities; bins are (from, to, n, confidence, accuracy) rows."""

    bins: np.ndarray
    error: float | None
    error_before: float | None
    temperature: float | None
    measured_on: str


@dataclass(frozen=True, eq=False)
class ScoreReport:
    """What is told of one set of samples that training never saw.

    Parameters
    ----------
    task, part
        The model's task, and which of `PARTS` it is.
    headline
        The scores that count most.
    rows, columns
        Scores by class, and the names that they have in the report.
    confusion
        ``(K, K)`` int64 counts, rows = truth, or None.
    roc
        False and true positive rates by class.
    """

    task: str
    part: str
    headline: tuple[Figure, ...]
    names: tuple[str, ...]
    rows: tuple[ClassRow, ...]
    columns: tuple[str, ...]
    confusion: np.ndarray | None
    roc: Mapping[str, tuple[np.ndarray, np.ndarray]]
    calibration: Calibration | None
    words: str
    warning: str
    unit: str = ""

    def column_texts(self) -> tuple[tuple[str, str], ...]:
        """Return what each column is called and what it means."""
        texts = {**_MEANINGS}
        name, tip = texts["root_mean_square_error_um"]
        texts["root_mean_square_error_um"] = (f"{name} ({self.unit})", tip)
        return tuple(texts[key] for key in self.columns)


def main_figure(scores: Mapping[str, Any], task: str, part: str = "validation") -> Figure | None:
    """Return the score of one of `PARTS` that counts most, None where there is none."""
    found = scores.get(part)
    if not isinstance(found, Mapping):
        return None
    keys = [key for key in _HEADLINES[task] if found.get(key) is not None]
    try:
        return _figure(found, keys[0]) if keys else None
    except (TypeError, ValueError, KeyError, IndexError):
        return None


def read_report(
    scores: Mapping[str, Any],
    task: str,
    part: str = "validation",
    pixel_size: tuple[float, str] | None = None,
) -> ScoreReport | None:
    """Read one part of the scores of a card or a run.

    Parameters
    ----------
    pixel_size
        Side of a pixel and its unit, where it is known: errors are told in the unit, too.

    Returns
    -------
    ScoreReport or None
        None where that part is not there or makes no sense, as it may in a stranger's file.
    """
    found = scores.get(part)
    if not isinstance(found, Mapping):
        return None
    try:
        return _read(scores, found, task, part, pixel_size)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
        return None


def _read(
    scores: Mapping[str, Any],
    found: Mapping[str, Any],
    task: str,
    part: str,
    pixel_size: tuple[float, str] | None,
) -> ScoreReport:
    if pixel_size and found.get("root_mean_square_error_pixels") is not None:
        error = found["root_mean_square_error_pixels"] * pixel_size[0]
        found = {**found, "root_mean_square_error_um": error}
    pixels = found.get("pixels", {})
    inner = {**pixels, **found, **found.get("objects", {})}
    classes = {**found.get("classes", {})}
    if not classes and task == "locate":
        classes = {"all": found}
    elif task == "locate":
        classes = {"all": found, **classes}
    merged = {name: {**pixels.get("classes", {}).get(name, {}), **c} for name, c in classes.items()}
    used = [k for k in _COLUMNS[task] if any(c.get(k) is not None for c in merged.values())]
    rows = tuple(
        ClassRow(name, None if c.get("n") is None else int(c["n"]), tuple(_figure(c, k) for k in used))
        for name, c in merged.items()
    )  # fmt: skip
    confusion = inner.get("confusion")
    if confusion is not None:
        confusion = np.asarray(confusion, np.int64)
        if confusion.shape != (len(merged),) * 2:
            raise ValueError(confusion.shape)
    headline = tuple(_figure(inner, k) for k in _HEADLINES[task] if inner.get(k) is not None)
    warnings = [
        str(scores.get("warning", "")) if part == "validation" else "",
        str(found.get("warning", "")),
    ]
    roc = {
        name: tuple(np.asarray(c[f"{kind}_positive_rate"], float) for kind in ("false", "true"))
        for name, c in found.get("roc", {}).items()
    }
    return ScoreReport(
        task, part, headline, tuple(merged), rows, tuple(used), confusion, roc,
        _calibration(found.get("calibration")),
        _words(scores, inner, task, part, headline, pixel_size), " ".join(filter(None, warnings)),
        pixel_size[1] if pixel_size else "",
    )  # fmt: skip


def _figure(values: Mapping[str, Any], key: str) -> Figure:
    value, ends = values.get(key), values.get(f"{key}_interval")
    interval = None if ends is None else (float(ends[0]), float(ends[1]))
    return Figure(key, None if value is None else float(value), interval)


def _calibration(found: Mapping[str, Any] | None) -> Calibration | None:
    if not found:
        return None
    keys = ("from", "to", "n", "confidence", "accuracy")
    bins = np.array([[float(b[key]) for key in keys] for b in found["bins"]]).reshape(-1, 5)
    numbers = [
        found.get(key)
        for key in ("expected_calibration_error", "expected_calibration_error_before", "temperature")
    ]  # fmt: skip
    return Calibration(
        bins, *(None if v is None else float(v) for v in numbers), str(found.get("measured_on", ""))
    )


def _words(
    scores: Mapping[str, Any],
    inner: Mapping[str, Any],
    task: str,
    part: str,
    headline: tuple[Figure, ...],
    pixel_size: tuple[float, str] | None,
) -> str:
    """Say in words how good, on how many samples from where, and how sure that is."""
    measured = inner.get("measured", {})
    good = ", ".join(f"{figure.name} {figure.text}" for figure in headline)
    if inner.get("root_mean_square_error_um") is not None and pixel_size:
        good += f" = {inner['root_mean_square_error_um']:.3g} {pixel_size[1]}"
    if inner.get("tolerance_pixels") is not None:
        good += f", within {inner['tolerance_pixels']:g} px"
    text = f"{good[:1].upper()}{good[1:]}"
    if inner.get("n") is not None:
        text += f" on {int(inner['n']):,} {_UNITS[task]}"
    told = {"samples", "names", "intervals"}
    groups = [(kind, n) for kind, n in measured.items() if kind not in told]
    for kind, n in groups:
        names = [str(name) for name in measured.get("names", [])]
        some = ", ".join(names[:_NAMES_TOLD]) + (", …" if len(names) > _NAMES_TOLD else "")
        text += (
            f" of {n:,} {kind if n != 1 else kind.removesuffix('s')}{f' ({some})' if some else ''}"
        )
    where = inner.get("measured_on") or (scores.get("measured_on") if part == "validation" else "")
    text += f", which training never saw: {where}." if where else "."
    if any(figure.interval for figure in headline):
        how = str(measured.get("intervals", "95 %: Wilson"))
        return f"{text} In brackets: intervals, {how}."
    return f"{text} No intervals: these are known for shares of samples, and for several images."
