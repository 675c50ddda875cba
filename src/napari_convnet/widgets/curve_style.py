"""How the curves of a training look: told apart by dash as well as by colour."""

from __future__ import annotations

from collections.abc import Mapping

from pyqtgraph import AxisItem
from qtpy.QtCore import Qt

# Okabe and Ito's hues, darkened for the light theme: each line of an epoch has a contrast of at least 3:1 on
# its background.
COLOURS = {
    "dark": {
        "batch": "#5a7d8f",
        "training": "#56b4e9",
        "validation": "#e69f00",
        "score": "#2bd4a0",
        "training score": "#56b4e9",
        "rate": "#cc79a7",
        "over-fitting": "#ff8566",
    },
    "light": {
        "batch": "#9dbdcf",
        "training": "#0072b2",
        "validation": "#b04a00",
        "score": "#00734f",
        "training score": "#0072b2",
        "rate": "#a0447a",
        "over-fitting": "#b3261e",
    },
}
_DOTS, _DASHES, _SOLID = Qt.PenStyle.DotLine, Qt.PenStyle.DashLine, Qt.PenStyle.SolidLine
#: Width in pixels and dash of each line.
LINES = {
    "batch": (1, _SOLID),
    "training": (2, _SOLID),
    "validation": (2, _DASHES),
    "score": (2, _DOTS),
    "training score": (1, _DOTS),
    "rate": (1, _SOLID),
}


def legend_text(colours: Mapping[str, str], score: str, training_score: str) -> str:
    """Return the legend as rich text."""
    parts = [
        _sample(colours["training"], "━━", "training loss"),
        _sample(colours["validation"], "╍╍", "validation loss"),
        _sample(colours["score"], "┅┅", score),
    ]
    if training_score:
        parts.append(_sample(colours["training score"], "┈┈", training_score))
    return f'<span style="font-size:8pt">{" &nbsp; ".join(parts)} &nbsp; ★&nbsp;best</span>'


def _sample(colour: str, line: str, name: str) -> str:
    return f'<span style="color:{colour}">{line}</span>&nbsp;{name}'


def write_plain_numbers(axis: AxisItem) -> None:
    """Let an axis write its numbers as they are: "loss (x0.001)" is no help."""
    is_shown = axis.label.isVisible()
    axis.showLabel(
        False
    )  # with a label, switching it off would keep the thousandths of this moment
    axis.enableAutoSIPrefix(False)
    axis.showLabel(is_shown)
