"""A comparison of two models in words: the legend of the map, what both say of each class, and who is right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from napari_convnet.scores.report import main_figure

if TYPE_CHECKING:
    from napari_convnet.model_file import ModelCard
    from napari_convnet.widgets.comparison_job import Compared

_NAMES_TOLD = 3


def comparison_html(found: Compared) -> str:
    """Return the legend and the tables as rich text; every name is escaped."""
    parts = [_head(found), _legend(found), _by_class(found)]
    if found.scores is not None:
        parts.append(_scores(found.scores))
    parts.append(_remarks(found))
    return "".join(parts)


def _head(found: Compared) -> str:
    cards, comparison = (found.first_model.card, found.second_model.card), found.comparison
    names = "".join(
        f"<b>{letter}</b>: {escape(card.name)} ({escape(card.network)})<br>"
        for letter, card in zip("AB", cards, strict=True)
    )
    said = f"{comparison.n_different:,} of {comparison.n:,} {comparison.unit} differ"
    return f"<p>{names}<b>{said} ({_percent(comparison.share_different)})</b></p>"


def _legend(found: Compared) -> str:
    comparison = found.comparison
    n_same = comparison.n - comparison.n_different
    rows = [("", "both the same", f"{n_same:,}", _percent(1 - comparison.share_different))]
    rows += [
        (_swatch(d.colour), escape(d.words), f"{d.n:,}", _percent(d.share))
        for d in comparison.differences if d.n or len(comparison.differences) == 2
    ]  # fmt: skip
    return _table(("", "", comparison.unit, "share"), rows, n_texts=2)


def _by_class(found: Compared) -> str:
    comparison, counts = found.comparison, found.comparison.counts
    rows = [
        (escape(name), f"{counts[k].sum():,}", f"{counts[:, k].sum():,}", _number(iou))
        for k, (name, iou) in enumerate(comparison.iou.items())
    ]
    unit = comparison.unit
    return _table(("class", f"{unit} of A", f"{unit} of B", "IoU"), rows)


def _scores(scores: Mapping[str, Any]) -> str:
    """Return how both score on the same held-out annotations."""
    measured, rows = scores["measured"], []
    pair = (("A", scores["first"]), ("B", scores["second"]))
    if "pixels" in measured:
        what, extent = "mean IoU", f"{measured['pixels']:,} painted pixels"
        columns = ("", what, *(f"IoU {escape(name)}" for name in scores["first"]["classes"]))
        rows = [
            (letter, _number(s["mean_iou"]), *(_number(c["iou"]) for c in s["classes"].values()))
            for letter, s in pair
        ]  # fmt: skip
    else:
        extent, columns = f"{measured['cells']:,} cells", ("", "accuracy", "only this one is right")
        rows = [(k, _number(s["accuracy"]), f"{s['only_right']:,} cells") for k, s in pair]
    names = measured["names"][:_NAMES_TOLD]
    more = "" if len(measured["names"]) <= _NAMES_TOLD else " and others"
    where = (
        f"{extent} of {_images(measured['images'])} set to test ({escape(', '.join(names))}{more})"
    )
    text = f"<p><b>Measured on {where}</b>, the same for both"
    between = scores.get("difference", {}).get("mean_iou", {})
    if between.get("interval"):
        low, high = between["interval"]
        text += f". B less A: {between['mean']:+.3f} (95 %: {low:+.3f} to {high:+.3f}, over images)"
    return f"{text}.</p>{_table(columns, rows)}"


def _remarks(found: Compared) -> str:
    """Say what is known to one model only, and what is known of who is right where nothing was scored."""
    classes, lines = found.comparison.classes, []
    for names, one, other in ((classes.only_first, "A", "B"), (classes.only_second, "B", "A")):
        if names:
            lines.append(f"{escape(', '.join(names))}: only {one} knows; {other} can never say it.")
    if found.scores is None:
        lines.append(_own_scores(found.first_model.card, found.second_model.card))
    if found.remark:
        lines.append(escape(found.remark))
    if found.problem:
        lines.append(escape(found.problem))
    return "".join(f"<p>{line}</p>" for line in lines)


def _own_scores(first: ModelCard, second: ModelCard) -> str:
    """Set the scores side by side that the trainings measured, if on the same samples."""
    figures = [main_figure(card.scores, card.task) for card in (first, second)]
    marks = [card.scores.get("held_out_sha256") for card in (first, second)]
    if None not in figures and marks[0] and marks[0] == marks[1]:
        a, b = figures
        return f"On the samples that both trainings held out, the same ones, {a.name}: A {a.text}, B {b.text}."
    return (
        "Who is right is not known: no annotated image that neither learned from is set to test (Images, in the "
        "Annotate dock), and the trainings held out different samples."
    )


def _images(n: int) -> str:
    return f"{n:,} image{'s' * (n != 1)}"


def _swatch(colour: str) -> str:
    return f'<span style="color: {escape(colour)}">■</span>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], n_texts: int = 1) -> str:
    def cells(tag: str, values: Sequence[str]) -> str:
        found = (
            f'<{tag} align="{"left" if k < n_texts else "right"}">{value}</{tag}>'
            for k, value in enumerate(values)
        )
        return f"<tr>{''.join(found)}</tr>"

    body = "".join(cells("td", values) for values in rows)
    return (
        f'<table cellspacing="0" cellpadding="3" width="100%">{cells("th", columns)}{body}</table>'
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0995 or share == 0 else f"{share:.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"
