"""Scores as a text table, made from the same plain values that reports hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_convnet.scores.confusion import Scores

#: Larger confusion matrices are told by their most confused pairs.
_LARGEST_MATRIX = 15
_NAME_WIDTH = 22


def as_text(report: Mapping[str, Any]) -> str:
    """Write a classifier's report (`ClassifierScores.as_dict`) as tables for people.

    The classes of the confusion matrix are sorted, the most confused ones first, with the share of each
    row (what is so and was called so) and of each column (what was called so and is so).
    """
    lines = [
        f"accuracy           {_with_interval(report, 'accuracy')}",
        f"balanced accuracy  {_with_interval(report, 'balanced_accuracy')}",
    ]
    if report.get("mean_auc") is not None:
        lines.append(f"mean ROC AUC       {report['mean_auc']:.3f}")
    calibration = report.get("calibration", {})
    if calibration.get("expected_calibration_error") is not None:
        lines.append(
            f"calibration error  {calibration['expected_calibration_error']:.3f}"
            " (how far probabilities are from the share that is right)"
        )
    if "temperature" in calibration:
        before = calibration["expected_calibration_error_before"]
        lines.append(
            f"temperature        {calibration['temperature']:g} (calibration error before {before:.3f}; "
            f"{calibration['measured_on']})"
        )
    measured = report.get("measured", {})
    if measured:
        lines.append(f"measured on        {_describe(measured)}")
    return "\n".join([*lines, "", *_class_rows(report), "", *_confusion_rows(report)])


def _describe(measured: Mapping[str, Any]) -> str:
    parts = [f"{measured['samples']:,} samples"]
    parts += [
        f"{value:,} {kind}"
        for kind, value in measured.items()
        if kind not in ("samples", "names", "intervals")
    ]
    return f"{' of '.join(parts)}; intervals: {measured['intervals']}"


def _class_rows(report: Mapping[str, Any]) -> list[str]:
    head = ("class", "n", "precision", "recall", "F1", "AUC", "avg. precision")
    rows = [
        (
            name, f"{entry['n']:,}",
            *(_with_interval(entry, score) for score in ("precision", "recall", "f1")),
            _number(entry.get("auc")), _number(entry.get("average_precision")),
        )
        for name, entry in report["classes"].items()
    ]  # fmt: skip
    return _table(head, rows)


def _confusion_rows(report: Mapping[str, Any]) -> list[str]:
    names, scores = list(report["classes"]), Scores(np.array(report["confusion"]))
    if len(names) > _LARGEST_MATRIX:
        pairs = [(p["truth"], p["predicted"], f"{p['n']:,}") for p in report.get("confused", [])]
        return _table(("truth", "taken for", "n"), pairs)
    order = scores.most_confused()
    by_truth, by_prediction = scores.normalised("truth"), scores.normalised("prediction")
    head = ("truth \\ prediction", *(names[k] for k in order), "% of row", "% of column")
    rows = [
        (
            names[k], *(f"{scores.confusion[k, j]:,}" for j in order),
            _percent(by_truth[k, k]), _percent(by_prediction[k, k]),
        )
        for k in order
    ]  # fmt: skip
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell[:_NAME_WIDTH] for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _with_interval(values: Mapping[str, Any], score: str) -> str:
    interval = values.get(f"{score}_interval")
    between = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return _number(values[score]) + between


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f}"
