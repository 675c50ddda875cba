"""Curves show what they were given, in the viewer's colours."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.theme import get_theme
from qtpy.QtGui import QColor

from napari_convnet.widgets.curve_points import MOST_POINTS
from napari_convnet.widgets.curve_style import COLOURS
from napari_convnet.widgets.curves import Curves


@pytest.fixture
def curves(viewer, qtbot):
    widget = Curves(viewer)
    qtbot.addWidget(widget)
    widget.resize(340, 160)
    widget.show()
    return widget


def drawn(curves, name):
    steps, values = curves._lines[name].getData()
    return [] if steps is None else list(zip(steps.tolist(), values.tolist(), strict=True))


def starred(curves):
    return [
        (side, *point)
        for side, star in curves._stars.items()
        for point in zip(*(axis.tolist() for axis in star.getData()), strict=True)
    ]


def test_points_are_drawn_and_the_best_epoch_is_starred(curves, qtbot):
    curves.add_batch(1, 0.9)
    curves.add_batch(2, 0.7)
    curves.add_epoch(2, 0.8, 0.85, 0.5, True)
    curves.add_epoch(4, 0.6, 0.65, 0.75, True)
    curves.add_epoch(6, 0.5, 0.7, 0.7, False)
    qtbot.waitUntil(lambda: len(drawn(curves, "score")) == 3)
    assert drawn(curves, "batch") == [(1, 0.9), (2, 0.7)]
    assert drawn(curves, "training") == [(2, 0.8), (4, 0.6), (6, 0.5)]
    assert drawn(curves, "validation") == [(2, 0.85), (4, 0.65), (6, 0.7)]
    assert starred(curves) == [("score", 4, 0.75)]
    assert "accuracy 0.7, best at step 4" in curves.accessibleDescription()


def test_a_training_without_validation_stars_its_loss(curves, qtbot):
    curves.add_epoch(3, 0.4, None, None, True)
    qtbot.waitUntil(lambda: bool(drawn(curves, "training")))
    assert starred(curves) == [("loss", 3, 0.4)]
    assert drawn(curves, "validation") == drawn(curves, "score") == []


def test_invalid_numbers_are_left_out(curves, qtbot):
    curves.add_batch(1, float("nan"))
    curves.add_batch(2, float("inf"))
    curves.add_batch(3, 0.5)
    qtbot.waitUntil(lambda: drawn(curves, "batch") == [(3, 0.5)])


def test_clear_forgets_everything_and_may_rename_the_score(curves, qtbot):
    curves.add_epoch(3, 0.4, 0.4, 0.9, True)
    qtbot.waitUntil(lambda: bool(drawn(curves, "training")))
    curves.clear("overlap (IoU)")
    assert starred(curves) == []
    assert all(drawn(curves, name) == [] for name in curves._lines)
    assert "overlap (IoU)" in curves._legend.text()


def test_a_second_training_of_small_losses_writes_its_numbers_as_they_are(curves, qtbot):
    for _ in range(2):
        curves.clear("mean IoU")
        for step in range(1, 20):
            curves.add_batch(step, 0.7 - step / 50)
        axis = curves._plot.getPlotItem().getAxis("left")
        qtbot.waitUntil(lambda: axis.range[1] < 0.8)  # noqa: B023 - waited for here
        assert axis.label.isVisible()
        assert axis.tickStrings([0.5], axis.autoSIPrefixScale * axis.scale, 0.1) == ["0.5"]


def test_long_trainings_are_thinned_and_keep_their_course(curves, qtbot):
    n = 5 * MOST_POINTS
    for step in range(n):
        curves.add_batch(step, step / n)
    qtbot.waitUntil(lambda: bool(drawn(curves, "batch")))
    steps, values = np.transpose(drawn(curves, "batch"))
    assert len(steps) < MOST_POINTS
    assert steps[-1] > 0.99 * n
    np.testing.assert_allclose(values, steps / n)


def test_the_curves_follow_the_theme(curves, viewer):
    def look():
        background = curves._plot.backgroundBrush().color().name()
        return background, curves._lines["training"].opts["pen"].color().name()

    for theme in ("light", "dark"):
        viewer.theme = theme
        assert look() == (
            QColor(get_theme(theme).background.as_hex()).name(),
            COLOURS[theme]["training"],
        )


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_lines_stand_out_from_the_background(theme):
    def luminance(colour):
        parts = np.array(QColor(colour).getRgbF()[:3])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722)

    background = luminance(get_theme(theme).background.as_hex())
    for name in ("training", "validation", "score"):
        low, high = sorted((background, luminance(COLOURS[theme][name])))
        assert (high + 0.05) / (low + 0.05) >= 3, name


def test_the_widget_is_small_named_and_full_of_plot(curves):
    assert curves.minimumHeight() <= 140
    assert curves.accessibleName() == "Training curves"
    assert curves._plot.getPlotItem().vb.height() > 80
    assert curves._plot.getPlotItem().vb.width() > 220
