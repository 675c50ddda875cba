"""The network table: what it shows before a training, the time that comes later, and copies of it."""

import csv
import io
import re

import pytest
from dock_helpers import press
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_convnet.networks.table import describe_network
from napari_convnet.widgets.network_form import NetworkForm


@pytest.fixture
def train(desk):
    return desk.open_train_with_cells(40)


def show(desk, train, network=""):
    if network:
        train.form.network.setCurrentText(network)
    press(train.form.table_button)
    view = train.windows.view
    wait(desk, view)
    return view


def wait(desk, view):
    desk.qtbot.waitUntil(
        lambda: view.slot.state == "idle" and not view._timer.isActive(), timeout=60_000
    )


def test_the_table_is_that_of_the_projects_images_and_the_time_comes_later(
    desk, train, tmp_path, monkeypatch
):
    view = show(desk, train, "cifar_convnet")
    side = view.input.size.value()
    table = describe_network("cifar_convnet", 3, 4, (side, side))
    assert (view.input.channels.value(), view.input.classes.value()) == (3, 4)
    assert [row[0] for row in view.table.rows] == [row.name for row in table.rows]
    first = view.table.rows[0]
    assert first[1:6] == ("convolution", "5 x 5", f"32 x {side} x {side}", "2,432", "trainable")
    assert f"{table.parameters:,} parameters" in view.totals.text()
    assert f"{table.multiply_adds:,} multiply-adds" in view.totals.text()
    assert f"{round(table.memory_bytes(16) / 1e6)} MB" in view.totals.text()
    assert re.search(
        r"Time per epoch on the CPU: about [\d.]+ s \(32 samples, 2 batches of [\d.]+ m?s\)",
        view.time.text(),
    )
    assert "Small colour images" in view.heading.text()
    assert "course document" in view.heading.text()
    press(view.copy_button)
    rows = list(csv.reader(io.StringIO(QApplication.clipboard().text())))
    assert rows[0][0] == "Layer"
    assert len(rows) == len(table.rows) + 1
    assert [int(row[4] or 0) for row in rows[1:]] == [row.parameters for row in table.rows]
    assert [int(row[7] or 0) for row in rows[1:]] == [row.multiply_adds for row in table.rows]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "layers"), ""))
    press(view.save_button)
    assert (tmp_path / "layers.csv").read_text() == view.csv()


def test_a_doi_is_shown_and_the_diagram_follows_the_table(desk, train):
    view = show(desk, train, "cifar_resnet")
    for control in (
        view.table, view.diagram, view.copy_button, view.save_button, view.close_button, view.heading,
        view.totals, view.time, view.input.size, view.input.channels, view.input.classes,
    ):  # fmt: skip
        assert control.toolTip()
        assert control.accessibleName()
    assert "https://doi.org/10.1109/CVPR.2016.90" in view.heading.text()
    view.table.choose(2)
    assert view.diagram._drawing.chosen == 3  # the image is the first box
    drawing = view.diagram._drawing
    QTest.mouseClick(drawing, Qt.MouseButton.LeftButton, pos=drawing.box(1).center())
    assert view.table.chosen == 0


def test_frozen_layers_are_told(desk, train):
    train.form.options.set_value({"freeze_backbone": True})
    train.form.patch_size.setValue(32)
    view = show(desk, train, "resnet18")
    kinds = {row[0]: row[5] for row in view.table.rows if row[4]}
    assert kinds.pop("fc") == "trainable"
    assert set(kinds.values()) == {"frozen"}
    assert "2,052 of them trainable" in view.totals.text()


def test_the_named_settings_of_the_courses_can_be_chosen(qtbot):
    form = NetworkForm()
    qtbot.addWidget(form)
    form.show_task("classify")
    form.network.setCurrentText("cifar_convnet, batch norm")
    assert form.network.network_id == "cifar_convnet"
    assert form.network.settings == {"batch_norm": True}


def test_an_image_that_is_too_small_is_refused_and_another_side_is_shown_anew(desk, train):
    view = show(desk, train, "rbc_convnet")
    view.input.size.selectAll()
    QTest.keyClicks(view.input.size, "20")
    desk.qtbot.waitUntil(lambda: "needs at least 38 x 38" in view.totals.text(), timeout=30_000)
    assert view.table.rows == ()
    assert not view.copy_button.isEnabled()
    view.input.size.selectAll()
    QTest.keyClicks(view.input.size, "50")
    desk.qtbot.waitUntil(lambda: len(view.table.rows) > 0, timeout=30_000)
    assert view.table.rows[0][3] == "32 x 48 x 48"
    wait(desk, view)


def test_a_window_that_is_closed_while_it_measures_leaves_no_job(desk, train):
    press(train.form.table_button)
    view = train.windows.view
    view.close()
    desk.wait_until_idle()
    assert view.slot.state == "idle"
    assert view.time.text() == ""
    desk.close_dock(train)
