"""Import and export from the dock: asked, done in the background, undone as one step, refused in words."""

import csv
import json

import numpy as np
import pytest
import tifffile
from dock_helpers import press
from qtpy.QtWidgets import QApplication, QFileDialog, QVBoxLayout, QWidget

from napari_convnet.widgets.exchange_dialog import ExchangeBar


@pytest.fixture
def annotate(desk):
    desk.open_sample("blood-smear-1")
    return desk.open_dock("Annotate")


@pytest.fixture
def bar(desk, annotate):
    """The bar in a dock of its own, as it would be in the Annotate dock."""
    dock = QWidget()
    bar = ExchangeBar(desk.session, dock)
    QVBoxLayout(dock).addWidget(bar)
    desk.viewer.window.add_dock_widget(dock, name="Exchange")
    yield bar
    desk.wait_until_idle()


def choose(monkeypatch, *paths):
    texts = [str(path) for path in paths]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (texts, ""))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (texts[0], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: texts[0])


def trigger(menu, title):
    next(a for a in menu.actions() if a.text() == f"{title}…").trigger()
    QApplication.processEvents()


def answer(bar):
    press(bar._dialog.go_on)
    QApplication.processEvents()


def annotations(session):
    project = session.project
    image = project.images()[0].id
    return project.object_annotations(image), project.patches(image)


def test_cells_go_out_and_come_back(desk, annotate, bar, monkeypatch, tmp_path):
    desk.annotate_smear(annotate, n=12)
    cells, _ = annotations(desk.session)
    choose(monkeypatch, tmp_path / "smear")
    trigger(bar.export_menu, "Instance masks with classes")
    desk.wait_until_idle()
    assert "12 cells" in bar.status.text()
    mask = next((tmp_path / "smear").glob("*.tif"))
    np.testing.assert_array_equal(tifffile.imread(mask), desk.viewer.layers["cells"].data)
    for cell in cells[:6]:
        desk.session.project.set_object_class(
            cell.image_id, cell.labels_name, cell.label, cell.plane, cell.centre, 0
        )
    desk.session.show_annotations_again()
    layer = desk.session.active_tool.layer
    assert len(np.unique(desk.viewer.layers["cells"].data[layer.data > 0])) == 6
    trigger(bar.import_menu, "Instance masks with classes")
    answer(bar)
    desk.wait_until_idle()
    known = {(c.label, c.value) for c in cells}
    assert {(c.label, c.value) for c in annotations(desk.session)[0]} == known
    layer = desk.session.active_tool.layer
    assert len(np.unique(desk.viewer.layers["cells"].data[layer.data > 0])) == 12
    desk.session.undo()
    assert len(annotations(desk.session)[0]) == 6
    desk.session.redo()
    assert {(c.label, c.value) for c in annotations(desk.session)[0]} == known
    assert not desk.messages


def test_points_become_patches_of_new_classes(desk, annotate, bar, monkeypatch, tmp_path):
    tool = desk.use_tool(annotate, "pick_patches")
    before = desk.session.classes
    (tmp_path / "p.csv").write_text(
        "index,axis-0,axis-1,class\n0,50.5,60.25,odd\n1,80,90,even\n", encoding="utf-8"
    )
    choose(monkeypatch, tmp_path / "p.csv")
    trigger(bar.import_menu, "napari points")
    bar._dialog._size.setValue(21)
    answer(bar)
    desk.wait_until_idle()
    _, patches = annotations(desk.session)
    assert [(p.centre, p.size) for p in patches] == [((50.5, 60.25), 21), ((80, 90), 21)]
    assert [info.name for info in desk.session.classes][len(before) :] == ["odd", "even"]
    assert len(tool.layer.data) > 0
    desk.session.undo()
    assert annotations(desk.session)[1] == ()
    assert desk.session.classes == before
    desk.session.redo()
    assert len(annotations(desk.session)[1]) == 2
    assert not desk.messages


def test_patches_of_an_open_image_are_its_pixels(desk, annotate, bar, monkeypatch, tmp_path):
    tool = desk.use_tool(annotate, "pick_patches")
    tool.pick_at((60.0, 70.0))
    choose(monkeypatch, tmp_path / "out")
    trigger(bar.export_menu, "Patches, a folder per class")
    bar._dialog._type.setCurrentIndex(0)
    answer(bar)
    desk.wait_until_idle()
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    size = int(line["size"])
    top, left = 60 - size // 2 + 1, 70 - size // 2 + 1
    pixels = desk.viewer.layers[0].data[top : top + size, left : left + size]
    patch = tifffile.imread(tmp_path / "out" / line["file"])
    np.testing.assert_array_equal(patch, pixels[..., :3] if pixels.ndim == 3 else pixels)


def test_refused_file_changes_nothing_and_is_named(desk, annotate, bar, monkeypatch, tmp_path):
    desk.annotate_smear(annotate, n=3)
    before, classes = annotations(desk.session), desk.session.classes
    (tmp_path / "bad.csv").write_text("index,axis-0,axis-1,class\n0,5,5,new\n1,nan,5,new\n")
    choose(monkeypatch, tmp_path / "bad.csv")
    trigger(bar.import_menu, "napari points")
    answer(bar)
    desk.wait_until_idle()
    (message,) = desk.messages
    assert "'bad.csv', line 3" in message
    assert annotations(desk.session) == before
    assert desk.session.classes == classes
    assert bar.import_button.isEnabled()
    assert not bar.stop_button.isVisible()


def test_nothing_happens_when_the_person_cancels(desk, bar, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([], ""))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    trigger(bar.import_menu, "COCO")
    trigger(bar.export_menu, "COCO")
    assert desk.session.project is None
    assert bar.status.text() == ""


def test_class_table_of_the_task(desk, annotate, bar, monkeypatch, tmp_path):
    desk.use_tool(annotate, "paint_strokes")
    table = tmp_path / "classes.csv"
    table.write_text(
        'value,name,colour\n1,"back, ground",#111111\n2,Kern,#22aa22\n3,Rand,#aa2222\n'
    )
    choose(monkeypatch, table)
    trigger(bar.import_menu, "Class table")
    desk.wait_until_idle()
    assert [info.name for info in desk.session.classes] == ["back, ground", "Kern", "Rand"]
    desk.session.undo()
    assert [info.name for info in desk.session.classes] == ["background", "object"]


def test_export_is_stopped_without_a_trace(desk, annotate, bar, monkeypatch, tmp_path):
    desk.annotate_smear(annotate, n=60)
    (tmp_path / "files").mkdir()
    choose(monkeypatch, tmp_path / "files" / "out")
    trigger(bar.export_menu, "Patches, a folder per class")
    bar._slot.changed.connect(lambda: bar._slot.state == "running" and bar._slot.request_stop())
    answer(bar)
    desk.wait_until_idle()
    assert "Stopped" in bar.status.text()
    assert not list((tmp_path / "files").iterdir())


def test_every_control_says_what_it_does(desk, bar):
    for button in (bar.import_button, bar.export_button, bar.stop_button):
        assert button.toolTip()
        assert button.accessibleName()
    for menu in (bar.import_menu, bar.export_menu):
        assert all(action.toolTip() for action in menu.actions())
    assert json.dumps([a.text() for a in bar.import_menu.actions()]).count("\\u2026") == 10


def test_napari_reads_what_is_written_and_what_it_writes_is_read(
    desk, annotate, bar, monkeypatch, tmp_path
):
    tool = desk.use_tool(annotate, "pick_patches")
    for place in ((50.25, 60.5), (100.0, 200.75), (300.5, 310.0)):
        tool.pick_at(place)
    size = annotations(desk.session)[1][0].size
    centres = [patch.centre for patch in annotations(desk.session)[1]]
    for kind, title in (("points", "napari points"), ("shapes", "napari shapes")):
        choose(monkeypatch, tmp_path / kind)
        trigger(bar.export_menu, title)
        if kind == "points":
            answer(bar)
        desk.wait_until_idle()
        (file,) = (tmp_path / kind).iterdir()
        (layer,) = desk.viewer.open(file, plugin="napari")
        assert type(layer).__name__.lower() == kind
        data = layer.data if kind == "points" else np.array([box.mean(0) for box in layer.data])
        np.testing.assert_allclose(data, centres)
        layer.save(str(tmp_path / f"again_{kind}.csv"), plugin="napari")
        for patch in annotations(desk.session)[1]:
            desk.session.project.remove_patch(patch.id)
        choose(monkeypatch, tmp_path / f"again_{kind}.csv")
        trigger(bar.import_menu, title)
        bar._dialog._class.setCurrentIndex(1)
        if kind == "points":
            bar._dialog._size.setValue(size)
        answer(bar)
        desk.wait_until_idle()
        patches = annotations(desk.session)[1]
        np.testing.assert_allclose([patch.centre for patch in patches], centres)
        assert {patch.size for patch in patches} == {size}


def test_table_of_cells_has_what_the_model_said(desk, annotate, bar, monkeypatch, tmp_path):
    import pandas as pd

    desk.annotate_smear(annotate, n=2)
    layer = desk.viewer.layers["cells"]
    table = {"index": [3, 5], "class": ["odd", "even"], "probability": [0.75, 0.5]}
    layer.features = pd.DataFrame(table)
    choose(monkeypatch, tmp_path / "cells.csv")
    trigger(bar.export_menu, "Table of cells")
    desk.wait_until_idle()
    with (tmp_path / "cells.csv").open(newline="", encoding="utf-8") as file:
        rows = {int(row["label"]): row for row in csv.DictReader(file)}
    assert len(rows) == len(np.unique(layer.data)) - 1
    assert [rows[3][k] for k in ("class", "annotated_by", "probability")] == [
        "odd",
        "model",
        "0.75",
    ]
    annotated = {c.label for c in annotations(desk.session)[0]}
    assert {label for label, row in rows.items() if row["annotated_by"] == "person"} == annotated
    assert int(rows[5]["area_pixels"]) == np.count_nonzero(layer.data == 5)
    assert rows[5]["unit"] == "micrometer"
    assert not desk.messages
