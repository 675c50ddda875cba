"""Live curves of a training: loss on the left axis, score on the right, the best epoch marked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyqtgraph as pg
from napari.components import ViewerModel
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

# Told apart by dash as well as by colour. Okabe and Ito's hues, darkened for the light theme: each
# line has a contrast of at least 3:1 on its background.
_COLOURS = {
    "dark": {
        "batch": "#5a7d8f",
        "training": "#56b4e9",
        "validation": "#e69f00",
        "score": "#2bd4a0",
    },
    "light": {
        "batch": "#9dbdcf",
        "training": "#0072b2",
        "validation": "#b04a00",
        "score": "#00734f",
    },
}
_REDRAW_MILLISECONDS = 200
_MOST_POINTS = 2000
_HEIGHT_FOR_LABELS = 200


@dataclass
class _Curve:
    """Points of one curve; pairs are averaged into one when there are too many to draw."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    points_in_one: int = 1
    _waiting: list[tuple[float, float]] = field(default_factory=list)

    def add(self, step: float, value: float) -> None:
        self._waiting.append((step, value))
        if len(self._waiting) < self.points_in_one:
            return
        step, value = np.mean(self._waiting, axis=0)
        self._waiting.clear()
        self.steps.append(float(step))
        self.values.append(float(value))
        if len(self.steps) >= _MOST_POINTS:
            self.steps = np.reshape(self.steps, (-1, 2)).mean(axis=1).tolist()
            self.values = np.reshape(self.values, (-1, 2)).mean(axis=1).tolist()
            self.points_in_one *= 2


class Curves(QWidget):
    """Plot of loss and score against the training step.

    Parameters
    ----------
    viewer
        Its theme is followed; None keeps the dark theme.
    score_name
        What the score is called, such as ``"accuracy"``; it lies between 0 and 1.
    """

    def __init__(
        self,
        viewer: ViewerModel | None = None,
        *,
        score_name: str = "accuracy",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setAccessibleName("Training curves")
        self.setMinimumHeight(140)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._viewer = viewer
        self._score_name = score_name
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_MILLISECONDS)
        self._redraw.timeout.connect(self._draw)
        self._build()
        self.clear()
        if viewer is not None:
            viewer.events.theme.connect(self._on_theme)
        self._on_theme()

    def release(self) -> None:
        """Let go of the viewer, which outlives the plot."""
        if self._viewer is not None:
            self._viewer.events.theme.disconnect(self._on_theme)

    def clear(self, score_name: str | None = None) -> None:
        """Begin anew, with another name for the score if one is given."""
        self._score_name = score_name or self._score_name
        self._points = {name: _Curve() for name in ("batch", "training", "validation", "score")}
        self._best: tuple[float, float, str] | None = None
        self._draw()
        self._on_theme()

    def add_batch(self, step: int, loss: float) -> None:
        """Add the loss of one batch."""
        self._add("batch", step, loss)

    def add_epoch(
        self,
        epoch_end_step: int,
        training_loss: float,
        validation_loss: float | None,
        score: float | None,
        is_best: bool,
    ) -> None:
        """Add the losses and the score of one epoch; ``is_best`` moves the star to it."""
        self._add("training", epoch_end_step, training_loss)
        self._add("validation", epoch_end_step, validation_loss)
        self._add("score", epoch_end_step, score)
        if is_best:
            shown = {"score": score, "validation": validation_loss, "training": training_loss}
            curve, value = next((c, v) for c, v in shown.items() if v is not None)
            self._best = (epoch_end_step, value, curve)
        self._describe(epoch_end_step, training_loss, validation_loss, score)

    def _build(self) -> None:
        self._legend = QLabel()
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        self._legend.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._legend.setWordWrap(True)
        self._plot = pg.PlotWidget()
        self._plot.setMenuEnabled(False)
        for part in (self._plot, self._plot.viewport()):
            part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setMouseEnabled(False, False)
        self._plot.hideButtons()
        item = self._plot.getPlotItem()
        item.setContentsMargins(0, 2, 0, 0)
        self._score_box = pg.ViewBox(enableMenu=False, enableMouse=False)
        self._score_box.setYRange(0, 1, padding=0.04)
        item.showAxis("right")
        item.scene().addItem(self._score_box)
        item.getAxis("right").linkToView(self._score_box)
        self._score_box.setXLink(item.vb)
        item.vb.sigResized.connect(self._align)
        self._lines = {name: pg.PlotDataItem() for name in ("batch", "training", "validation")}
        for line in self._lines.values():
            item.addItem(line)
        self._lines["score"] = pg.PlotDataItem()
        self._score_box.addItem(self._lines["score"])
        self._stars = {"loss": pg.ScatterPlotItem(), "score": pg.ScatterPlotItem()}
        item.addItem(self._stars["loss"])
        self._score_box.addItem(self._stars["score"])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._legend)
        layout.addWidget(self._plot, stretch=1)

    def _align(self) -> None:
        """Keep the score's box on the loss's box: pyqtgraph does not lay out a second one."""
        self._score_box.setGeometry(self._plot.getPlotItem().vb.sceneBoundingRect())

    def _add(self, name: str, step: float, value: float | None) -> None:
        if value is not None and np.isfinite(value):
            self._points[name].add(step, value)
            if not self._redraw.isActive():  # many events come at once: draw them once
                self._redraw.start()

    def _draw(self) -> None:
        for name, line in self._lines.items():
            line.setData(self._points[name].steps, self._points[name].values)
        for star in self._stars.values():
            star.setData([], [])
        if self._best is not None:
            step, value, curve = self._best
            self._stars["score" if curve == "score" else "loss"].setData([step], [value])
        self._align()

    def resizeEvent(self, event: Any) -> None:
        """Give the curves the room of the labels where there is little."""
        super().resizeEvent(event)
        self._fit_labels()

    def _fit_labels(self) -> None:
        self._plot.getPlotItem().getAxis("bottom").showLabel(self.height() >= _HEIGHT_FOR_LABELS)

    def _on_theme(self, _event: object = None) -> None:
        theme = get_theme(self._viewer.theme if self._viewer is not None else "dark")
        colours = _COLOURS[theme.type]
        text = theme.text.as_hex()
        self._plot.setBackground(theme.background.as_hex())
        self._lines["batch"].setPen(pg.mkPen(colours["batch"], width=1))
        self._lines["training"].setPen(pg.mkPen(colours["training"], width=2))
        self._lines["validation"].setPen(
            pg.mkPen(colours["validation"], width=2, style=Qt.PenStyle.DashLine)
        )
        self._lines["score"].setPen(pg.mkPen(colours["score"], width=2, style=Qt.PenStyle.DotLine))
        for star in self._stars.values():
            star.setSymbol("star")
            star.setSize(14)
            star.setBrush(pg.mkBrush(text))
            star.setPen(pg.mkPen(theme.background.as_hex()))
        item = self._plot.getPlotItem()
        for side, label, colour in (
            ("left", "loss", text),
            ("right", self._score_name, colours["score"]),
            ("bottom", "step", text),
        ):
            axis = item.getAxis(side)
            axis.enableAutoSIPrefix(False)  # "loss (x0.001)" is no help
            axis.setPen(theme.primary.as_hex())
            axis.setTextPen(colour)
            axis.setStyle(tickTextOffset=2)
            axis.setLabel(label, color=colour, **{"font-size": "8pt"})  # after the pen, which wins
        self._fit_labels()
        self._legend.setText(
            '<span style="font-size:8pt">'
            f'<span style="color:{colours["training"]}">━━</span> training &nbsp; '
            f'<span style="color:{colours["validation"]}">╍╍</span> validation &nbsp; '
            f'<span style="color:{colours["score"]}">┅┅</span> {self._score_name} &nbsp; ★&nbsp;best</span>'
        )

    def _describe(
        self, step: int, training: float, validation: float | None, score: float | None
    ) -> None:
        parts = [f"step {step}", f"training loss {training:.3g}"]
        if validation is not None:
            parts.append(f"validation loss {validation:.3g}")
        if score is not None:
            parts.append(f"{self._score_name} {score:.3g}")
        if self._best is not None:
            parts.append(f"best at step {self._best[0]:g}")
        self.setAccessibleDescription(", ".join(parts))
