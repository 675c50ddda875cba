"""Live curves of a training: loss on the left axis, score on the right, the best epoch marked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from napari.components import ViewerModel
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_convnet.widgets.curve_points import CurvePoints
from napari_convnet.widgets.curve_style import COLOURS, LINES, legend_text, write_plain_numbers

_REDRAW_MILLISECONDS = 200
_HEIGHT_FOR_LABELS = 200
RATE_HEIGHT = 56
#: Of the axes left and right, so that the plots stand below each other.
_AXIS_WIDTH = 46


class Curves(QWidget):
    """Plot of loss and score against the training step.

    Parameters
    ----------
    viewer
        Its theme is followed; None keeps the dark theme.
    score_name
        What the score is called, such as ``"accuracy"``; it lies between 0 and 1 unless it is an error.
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
        self._score_name, self._is_error, self._training_score = score_name, False, ""
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

    def clear(
        self, score_name: str | None = None, is_error: bool = False, training_score: str = ""
    ) -> None:
        """Begin anew, with another name for the score if one is given; of minus an error, the error is drawn.

        ``training_score`` names what is measured on the training samples, if it is drawn.
        """
        self._training_score = training_score
        if score_name:
            self._score_name, self._is_error = score_name, is_error
        self._points = {name: CurvePoints() for name in self._lines}
        self._best: tuple[float, float, str] | None = None
        self._overfits_at: float | None = None
        self._draw()
        self._on_theme()

    def add_batch(self, step: int, loss: float, learning_rate: float | None = None) -> None:
        """Add the loss of one batch, and the learning rate that it was learned with."""
        self._add("batch", step, loss)
        self._add("rate", step, learning_rate)

    def add_epoch(
        self,
        epoch_end_step: int,
        training_loss: float,
        validation_loss: float | None,
        score: float | None,
        is_best: bool,
        training_score: float | None = None,
    ) -> None:
        """Add the losses and the score of one epoch; ``is_best`` moves the star to it."""
        self._add("training", epoch_end_step, training_loss)
        self._add("training score", epoch_end_step, training_score)
        self._add_held_out(epoch_end_step, validation_loss, score, is_best, training_loss)
        self._describe(epoch_end_step, training_loss, validation_loss, score)

    def add_validation(
        self, step: int, validation_loss: float, score: float, is_best: bool
    ) -> None:
        """Add what was measured in the middle of an epoch."""
        self._add_held_out(step, validation_loss, score, is_best, None)

    def add_score(self, step: int, score: float) -> None:
        """Add a score alone."""
        self._add("score", step, score)

    def mark_overfitting(self, step: float | None) -> None:
        """Mark where the losses part, or take the mark away."""
        self._overfits_at = step
        self._wake()

    def stretch(self, factor: float) -> None:
        """Count steps of another length, as after the batches were halved."""
        for points in self._points.values():
            points.stretch(factor)
        if self._best is not None:
            self._best = (self._best[0] * factor, *self._best[1:])
        if self._overfits_at is not None:
            self._overfits_at *= factor
        self._wake()

    def show_rate(self, is_shown: bool) -> None:
        """Show or hide the plot of the learning rate."""
        self._rate_plot.setVisible(is_shown)
        self._fit_labels()

    def _add_held_out(
        self, step: int, loss: float | None, score: float | None, is_best: bool, other: float | None
    ) -> None:
        if self._is_error and score is not None:
            score = -score
        self._add("validation", step, loss)
        self._add("score", step, score)
        if is_best:
            shown = {"score": score, "validation": loss, "training": other}
            curve, value = next((c, v) for c, v in shown.items() if v is not None)
            self._best = (step, value, curve)

    def _build(self) -> None:
        self._legend = QLabel()
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        self._legend.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._legend.setWordWrap(True)
        self._plot, self._rate_plot = _still_plot(), _still_plot()
        item = self._plot.getPlotItem()
        item.setContentsMargins(0, 2, 0, 0)
        self._score_box = pg.ViewBox(enableMenu=False, enableMouse=False)
        item.showAxis("right")
        item.scene().addItem(self._score_box)
        item.getAxis("right").linkToView(self._score_box)
        self._score_box.setXLink(item.vb)
        item.vb.sigResized.connect(self._align)
        self._lines = {name: pg.PlotDataItem() for name in ("batch", "training", "validation")}
        for line in self._lines.values():
            item.addItem(line)
        for name in ("training score", "score"):
            self._lines[name] = pg.PlotDataItem()
            self._score_box.addItem(self._lines[name])
        self._build_rate()
        self._parting = pg.InfiniteLine(angle=90)
        item.addItem(self._parting)
        self._stars = {"loss": pg.ScatterPlotItem(), "score": pg.ScatterPlotItem()}
        item.addItem(self._stars["loss"])
        self._score_box.addItem(self._stars["score"])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._legend)
        layout.addWidget(self._plot, stretch=1)
        layout.addWidget(self._rate_plot)

    def _build_rate(self) -> None:
        self._rate_plot.setFixedHeight(RATE_HEIGHT)
        item = self._rate_plot.getPlotItem()
        item.setXLink(self._plot.getPlotItem())
        item.showAxis("right")
        item.getAxis("right").setStyle(showValues=False)
        item.getAxis("bottom").setStyle(showValues=False)
        item.getAxis("bottom").setHeight(4)
        item.getAxis("left").setStyle(maxTickLevel=0)
        for plot in (item, self._plot.getPlotItem()):
            for side in ("left", "right"):
                plot.getAxis(side).setWidth(_AXIS_WIDTH)
        self._lines["rate"] = pg.PlotDataItem()
        item.addItem(self._lines["rate"])
        self._rate_plot.hide()

    def _align(self) -> None:
        """Keep the score's box on the loss's box: pyqtgraph does not lay out a second one."""
        self._score_box.setGeometry(self._plot.getPlotItem().vb.sceneBoundingRect())

    def _add(self, name: str, step: float, value: float | None) -> None:
        if value is not None and np.isfinite(value):
            self._points[name].add(step, value)
            self._wake()

    def _wake(self) -> None:
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
        self._parting.setVisible(self._overfits_at is not None)
        self._parting.setValue(self._overfits_at or 0)
        self._fit_score_axis()
        self._align()

    def _fit_score_axis(self) -> None:
        """Shares go from 0 to 1, errors from 0 to what most epochs have: the first ones may be huge."""
        top = 1.0
        if self._is_error and self._points["score"].values:
            top = float(np.percentile(self._points["score"].values, 95)) or 1.0
        self._score_box.setYRange(0, top, padding=0.04)

    def resizeEvent(self, event: Any) -> None:
        """Give the curves the room of the labels where there is little."""
        super().resizeEvent(event)
        self._fit_labels()

    def _fit_labels(self) -> None:
        self._plot.getPlotItem().getAxis("bottom").showLabel(self.height() >= _HEIGHT_FOR_LABELS)

    def _on_theme(self, _event: object = None) -> None:
        theme = get_theme(self._viewer.theme if self._viewer is not None else "dark")
        colours = COLOURS[theme.type]
        text = theme.text.as_hex()
        for plot in (self._plot, self._rate_plot):
            plot.setBackground(theme.background.as_hex())
        for name, line in self._lines.items():
            width, style = LINES[name]
            line.setPen(pg.mkPen(colours[name], width=width, style=style))
        self._parting.setPen(
            pg.mkPen(colours["over-fitting"], width=1, style=Qt.PenStyle.DashDotLine)
        )
        for star in self._stars.values():
            star.setSymbol("star")
            star.setSize(14)
            star.setBrush(pg.mkBrush(text))
            star.setPen(pg.mkPen(theme.background.as_hex()))
        main, rate = self._plot.getPlotItem(), self._rate_plot.getPlotItem()
        for item, side, label, colour in (
            (main, "left", "loss", text),
            (main, "right", self._score_name, colours["score"]),
            (main, "bottom", "step", text),
            (rate, "left", "", colours["rate"]),
            (rate, "right", "", text),
            (rate, "bottom", "", text),
        ):
            axis = item.getAxis(side)
            write_plain_numbers(axis)
            axis.setPen(theme.primary.as_hex())
            axis.setTextPen(colour)
            axis.setStyle(tickTextOffset=2)
            if label:  # after the pen, which wins
                axis.setLabel(label, color=colour, **{"font-size": "8pt"})
        self._fit_labels()
        self._legend.setText(legend_text(colours, self._score_name, self._training_score))

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


def _still_plot() -> pg.PlotWidget:
    """Make a plot that only shows: no menu, no dragging, no focus."""
    plot = pg.PlotWidget()
    plot.setMenuEnabled(False)
    for part in (plot, plot.viewport()):
        part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    plot.setMouseEnabled(False, False)
    plot.hideButtons()
    return plot
