"""Suspect labels, from the check of the data: networks judge real annotations, and a click goes to a doubtful cell."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import press

from napari_convnet.widgets.data_check import DataCheck
from napari_convnet.widgets.suspect_labels import SuspectLabels


@pytest.fixture
def doubted(desk):
    """Return what presses *Check data…*, then *Suspect labels…*."""

    def press_both(train) -> SuspectLabels:
        press(train.form.check_button)
        window = train.findChildren(DataCheck)[-1]
        desk.qtbot.waitUntil(window.bar.isHidden, timeout=120_000)
        press(window.suspects_button)
        return train.findChildren(SuspectLabels)[-1]

    return press_both


def test_a_cell_that_was_clicked_as_another_class_is_found_and_shown(desk, doubted):
    desk.open_sample("blood-smear-1")
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    desk.wait_until_idle()
    tool = desk.annotate_smear(annotate, 80)
    names = [info.name for info in desk.session.classes]
    planes = train._request().planes
    values = planes[0].values
    common = int(np.bincount(values.astype(int)).argmax())
    wrong = int(np.flatnonzero(values == common)[10])
    other = 1 + common % len(names)
    place = planes[0].centres[wrong]
    tool.annotate_at(tool.labels.data_to_world(place), other)
    train.form.epochs.setValue(15)
    window = doubted(train)
    desk.qtbot.waitUntil(window.bar.isHidden, timeout=400_000)
    assert "annotations are doubted by networks that never saw them" in window.status.text()
    table = window.table.model().table
    told = table.index[
        (table["annotated as"] == names[other - 1]) & (table["probably"] == names[common - 1])
    ]
    spots = [window._spots[k].place for k in told]
    found = [
        k for k, spot in zip(told, spots, strict=True) if np.allclose(spot[-2:], place, atol=1)
    ]
    assert found, window.status.text()
    window.table.chosen.emit(found[0])
    seen = np.asarray(desk.viewer.scene.camera.center[-2:])
    world = np.asarray(tool.labels.data_to_world(place))[-2:]
    half = np.asarray(desk.viewer.canvas.size) / desk.viewer.scene.camera.zoom / 2
    assert (np.abs(seen - world) <= half).all(), (seen, world)
    assert "If the annotation is wrong, click the cell anew" in window.where.text()


def test_it_stops_and_says_that_nothing_was_changed(desk, doubted):
    train = desk.open_train_with_cells(60)
    window = doubted(train)
    desk.qtbot.waitUntil(lambda: "left" in window.status.text(), timeout=120_000)
    press(window.stop_button)
    desk.qtbot.waitUntil(window.bar.isHidden, timeout=60_000)
    assert window.status.text() == "Stopped. Nothing was changed."
    assert not desk.session.project.runs()


def test_painted_pixels_have_no_suspects(desk, doubted):
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    desk.open_sample("bacteria-1")
    press(annotate.task_buttons["segment"])
    desk.paint_bacteria(annotate)
    press(train.form.check_button)
    assert not train.findChildren(DataCheck)[-1].suspects_button.isVisible()
