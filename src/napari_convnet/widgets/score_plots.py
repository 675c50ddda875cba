"""Plots of scores: ROC by class, reliability with its counts, and the curves of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtCore import QBuffer, QPoint, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QImage, QPaintDevice, QPainter

from napari_convnet.project import EpochRecord
from napari_convnet.scores import ScoreReport
from napari_convnet.widgets.curve_style import write_plain_numbers

# Okabe and Ito's hues, lighter on dark and darker on light: at least 3:1 on the background.
_COLOURS = {
    "dark": ("#56b4e9", "#e69f00", "#2bd4a0", "#f0e442", "#e07bb0", "#ff7f50", "#b8b8ff", "#c9c9c9"),
    "light": ("#0072b2", "#b04a00", "#00734f", "#7a6a00", "#a3296f", "#c0392b", "#4b3fb5", "#555555"),
}  # fmt: skip
_DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
#: Curves that can be told apart; of more classes those with the smallest AUC are drawn.
_MOST_CURVES = 12
_NAME_LENGTH = 28
_SAVED_SIZE = QSize(900, 560)
#: What is drawn of a run's epochs: (value, what it is called, dash).
_LOSSES = (("training_loss", "training loss", 0), ("validation_loss", "validation loss", 1))


class Plots(pg.GraphicsLayoutWidget):
    """Plots side by side or one above the other, in the colours of a theme, that can be saved.

    Parameters
    ----------
    name
        For screen readers.
    theme
        Id of napari's theme.
    """

    def __init__(self, name: str, theme: str) -> None:
        super().__init__()
        self._theme = get_theme(theme)
        self.colours = _COLOURS[self._theme.type]
        self.setBackground(self._theme.background.as_hex())
        self.setAccessibleName(name)
        self.setToolTip(f"{name}. Drag moves, the wheel enlarges, a double click shows all.")

    def plot(self, row: int, x: str, y: str, column: int = 0, legend: tuple | None = None):
        """Add a plot whose axes have these names."""
        text = self._theme.text.as_hex()
        plot = self.addPlot(row=row, col=column)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.showGrid(x=True, y=True, alpha=0.15)
        for side, label in (("bottom", x), ("left", y)):
            axis = plot.getAxis(side)
            write_plain_numbers(axis)
            axis.setPen(self._theme.primary.as_hex())
            axis.setTextPen(text)
            axis.setLabel(label, color=text, **{"font-size": "9pt"})
        plot.getAxis("left").setWidth(64)
        if legend is not None:
            plot.addLegend(
                offset=legend, labelTextColor=text, labelTextSize="9pt",
                brush=pg.mkBrush(self._theme.background.as_hex() + "d0"),
            )  # fmt: skip
        return plot

    def line(self, plot, x, y, number: int, name: str, symbol: str | None = None) -> None:
        """Add a line, told from others by colour and dash; of short ones the points are marked."""
        colour = self.colours[number % len(self.colours)]
        pen = pg.mkPen(colour, width=2, style=_DASHES[number % len(_DASHES)])
        item = plot.plot(x, y, pen=pen, name=name, connect="finite")
        if symbol:
            item.setSymbol(symbol)
            item.setSymbolSize(7)
            item.setSymbolBrush(colour)
            item.setSymbolPen(None)

    def mouseDoubleClickEvent(self, event) -> None:
        """Show all again."""
        super().mouseDoubleClickEvent(event)
        for item in self.ci.items:
            item.autoRange()

    def png(self) -> bytes:
        """Return the picture as a PNG file, twice as large as on the screen."""
        size = self._laid_out()
        image = QImage(2 * size, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(
            2
        )  # scales lines and legends, too, which a painter's scale does not
        self._paint(image)
        buffer = QBuffer()
        buffer.open(QBuffer.OpenModeFlag.WriteOnly)
        image.save(buffer, "PNG")
        return bytes(buffer.data().data())

    def svg(self) -> bytes:
        """Return the picture as an SVG file; pyqtgraph's own exporter fails on symbols of these plots."""
        from qtpy.QtSvg import QSvgGenerator

        size, buffer, generator = self._laid_out(), QBuffer(), QSvgGenerator()
        buffer.open(QBuffer.OpenModeFlag.WriteOnly)
        generator.setOutputDevice(buffer)
        generator.setSize(size)
        generator.setViewBox(QRect(QPoint(0, 0), size))
        self._paint(generator)
        return bytes(buffer.data().data())

    def _laid_out(self) -> QSize:
        """Return the size in pixels; a plot in a tab that was never shown gets one."""
        if not self.isVisible():
            self.resize(_SAVED_SIZE)
            self.grab()  # Qt lays out what is hidden only for this
        return self.size()

    def _paint(self, device: QPaintDevice) -> None:
        painter = QPainter(device)
        everything = QRect(QPoint(0, 0), self.size())
        painter.fillRect(everything, self.backgroundBrush())
        self.render(painter, QRectF(everything), everything)
        painter.end()


def roc_plot(report: ScoreReport, theme: str) -> Plots | None:
    """Draw one curve a class against all others; None where a report has none."""
    if not report.roc:
        return None
    areas = {row.name: {f.key: f.value for f in row.figures}.get("auc") for row in report.rows}
    drawn = sorted(report.roc, key=lambda name: (areas.get(name) is None, areas.get(name)))
    plots = Plots("ROC curve of each class", theme)
    plot = plots.plot(0, "false positive rate", "true positive rate (recall)", legend=(-20, -20))
    _diagonal(plots, plot)
    for number, name in enumerate(drawn[:_MOST_CURVES]):
        area = areas.get(name)
        text = _short(name) if area is None else f"{_short(name)}: AUC {area:.3f}"
        plots.line(plot, *report.roc[name], number, text)
    if len(drawn) > _MOST_CURVES:
        plot.setTitle(
            f"the {_MOST_CURVES} of {len(drawn)} classes with the smallest AUC", size="9pt"
        )
    _unit_square(plot)
    return plots


def calibration_plot(report: ScoreReport, theme: str) -> Plots | None:
    """Draw how often answers of a confidence are right, and how many these are."""
    calibration = report.calibration
    if calibration is None or not len(calibration.bins):
        return None
    low, high, counts, confidence, accuracy = calibration.bins.T
    plots = Plots("Reliability of the probabilities", theme)
    plot = plots.plot(0, "", "share that is right", legend=(20, 10))
    _diagonal(plots, plot, "perfectly reliable")
    plots.line(plot, confidence, accuracy, 0, "the model", symbol="o")
    _unit_square(plot)
    below = plots.plot(1, "probability of the class that was chosen", report_unit(report))
    below.addItem(
        pg.BarGraphItem(x0=low, x1=high, y0=0, height=counts, brush=plots.colours[0], pen=None)
    )
    for x, n in zip((low + high) / 2, counts, strict=True):
        label = pg.TextItem(f"{int(n):,}", color=plots._theme.text.as_hex(), anchor=(0.5, 1))
        label.setPos(x, n)
        below.addItem(label, ignoreBounds=True)
    below.setXLink(plot)
    below.setYRange(0, 1.45 * counts.max(), padding=0)
    plot.setXRange(0, 1, padding=0.02)
    plots.ci.layout.setRowStretchFactor(0, 3)
    plots.ci.layout.setRowStretchFactor(1, 1)
    return plots


def report_unit(report: ScoreReport) -> str:
    """Return what the scores were counted on."""
    return {"classify": "samples", "segment": "pixels"}.get(report.task, "positions")


def learning_plot(
    epochs: Sequence[EpochRecord], scores: Mapping, task: str, theme: str
) -> Plots | None:
    """Draw losses and score of each epoch, the best one marked; None without epochs."""
    if not epochs:
        return None
    numbers = np.array([record.epoch for record in epochs], float)

    def values(key: str) -> np.ndarray:
        found = (record.curves.get(key) for record in epochs)
        return np.array([np.nan if value is None else value for value in found], float)

    plots = Plots("Losses and score of each epoch", theme)
    loss = plots.plot(0, "", "loss", legend=(-10, 10))
    for key, name, number in _LOSSES:
        if np.isfinite(values(key)).any():
            plots.line(loss, numbers, values(key), number, name, "o")
    score = values("score")
    panels = [loss]
    if np.isfinite(score).any():
        # An error is kept as a negative score.
        is_error = np.nanmax(score) <= 0 and task == "locate"
        name = "error (px)" if is_error else _SCORE_NAMES[task]
        panel = plots.plot(1, "epoch", name, legend=(-10, -10))
        plots.line(panel, numbers, -score if is_error else score, 2, f"validation {name}", "o")
        panel.setXLink(loss)
        panels.append(panel)
    panels[-1].setLabel("bottom", "epoch")
    step = max(1, round((numbers[-1] - numbers[0]) / 10))
    for panel in panels:
        panel.getAxis("bottom").setTickSpacing(step, step)
    loss.setXRange(numbers[0], numbers[-1], padding=0.04)
    best = scores.get("best_epoch")
    if isinstance(best, int):
        pen = pg.mkPen(plots._theme.text.as_hex(), style=Qt.PenStyle.DashLine)
        for panel in panels:
            panel.addItem(pg.InfiniteLine(best, pen=pen))
        loss.plot([], [], pen=pen, name=f"best epoch: {best}")
    return plots


_SCORE_NAMES = {"classify": "balanced accuracy", "segment": "mean IoU", "locate": "F1"}


def _diagonal(plots: Plots, plot, name: str | None = None) -> None:
    pen = pg.mkPen(plots._theme.text.as_hex(), width=1, style=Qt.PenStyle.DotLine)
    plot.plot([0, 1], [0, 1], pen=pen, name=name)


def _unit_square(plot) -> None:
    plot.setXRange(0, 1, padding=0.02)
    plot.setYRange(0, 1, padding=0.02)


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
