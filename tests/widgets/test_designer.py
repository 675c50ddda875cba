"""The designer: a network is built by clicks, kept, trained and loaded again; every edit is checked and undone."""

import json

import pytest
from dock_helpers import CONTROL, SHIFT, press
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton

from napari_convnet.model_file import model_from_bytes
from napari_convnet.networks import graph_from_json, graph_to_json
from napari_convnet.networks.network_settings import STARTER_GRAPH
from napari_convnet.project import NetworkRecord
from napari_convnet.widgets.network_form import NetworkForm

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def train(desk):
    return desk.open_dock("Train")


@pytest.fixture
def designer(desk, train):
    press(train.form.design_button)
    designer = train.windows.designer
    yield designer
    designer.close()


def click_layer(designer, name):
    row = [texts[0] for texts in designer.table.rows].index(name)
    place = designer.table.visualRect(designer.table.model().index(row, 0)).center()
    QTest.mouseClick(designer.table.viewport(), LEFT, pos=place)
    assert designer.layer_form.name.text() == name


def add(designer, after, kind):
    """Add a layer as a person does: click a row, choose the kind, press Add."""
    click_layer(designer, after)
    designer.kind.setCurrentText(kind)
    press(designer.add_button)


def type_number(box, number):
    box.selectAll()
    QTest.keyClicks(box, str(number))


def type_text(line, text):
    line.selectAll()
    QTest.keyClicks(line, text)
    QTest.keyClick(line, Qt.Key.Key_Return)


def tick(designer, name):
    """Tick or untick an input with the mouse."""
    inputs = designer.layer_form.inputs.several
    item = next(inputs.item(k) for k in range(inputs.count()) if inputs.item(k).text() == name)
    inputs.scrollToItem(item)
    rect = inputs.visualItemRect(item)
    QTest.mouseClick(inputs.viewport(), LEFT, pos=QPoint(rect.left() + 12, rect.center().y()))
    QApplication.processEvents()


def cells(designer, column):
    return {texts[0]: texts[column] for texts in designer.table.rows}


def test_a_network_with_a_skip_connection_is_built_saved_trained_and_loaded(desk):
    train = desk.open_train_with_cells(40)
    press(train.form.design_button)
    designer = train.windows.designer
    assert designer.input.value().shape[0] == 3
    assert designer.input.value().classes == 4

    add(designer, "relu 2", "conv")
    assert "conv 3" in cells(designer, 0)
    type_number(designer.layer_form.controls["filters"].native, 32)
    padding = designer.layer_form._padding[type(designer.draft.layers[5].settings)]
    type_text(padding.lineEdit(), "same")
    assert cells(designer, 2)["conv 3"] == "32 filters, 3 x 3, same"
    add(designer, "conv 3", "add")
    assert cells(designer, 3)["add 1"] == "conv 3, relu 2"
    assert cells(designer, 3)["max pool 2"] == "add 1"
    assert designer.table.wrong is None
    assert "9,248" in cells(designer, 5)["conv 3"]

    type_text(designer.name, "with a skip")
    press(designer.save_button)
    assert "saved" in designer.status.text()
    assert train.form.network.currentText() == "with a skip"
    designer.close()

    path = desk.session.project.path
    desk.session.close_project()
    desk.session.open_project(path)
    desk.use_tool(desk.open_dock("Annotate"), "click_cells")
    train.form.network.setCurrentText("convnet")
    train.form.network.setCurrentText("with a skip")
    assert train.form.network.network_id == "custom"
    train.form.epochs.setValue(2)
    desk.train(train)
    (run,) = desk.session.project.runs()
    assert (run.network, run.outcome) == ("custom", "finished")
    model = model_from_bytes(desk.session.project.model_bytes(run.id), "run 1")
    assert model.card.network == "custom"
    graph = graph_from_json(model.card.network_settings["graph"])
    assert graph == designer.draft.graph()
    assert [layer.inputs for layer in graph.layers if layer.name == "add 1"] == [
        ("conv 3", "relu 2")
    ]


def test_the_first_wrong_layer_is_marked_and_every_edit_is_taken_back(designer):
    start = designer.draft
    click_layer(designer, "global average 1")
    press(designer.remove_button)
    assert designer.table.wrong == 6
    assert "needs single values but gets maps" in designer.status.text()
    assert cells(designer, 4)["linear 1"] == ""
    QTest.keyClick(designer, Qt.Key.Key_Z, CONTROL)
    assert designer.draft == start
    assert designer.table.wrong is None
    QTest.keyClick(designer, Qt.Key.Key_Z, CONTROL | SHIFT)
    assert designer.table.wrong == 6
    press(designer.undo_button)

    click_layer(designer, "relu 1")
    type_text(designer.layer_form.name, "first relu")
    assert cells(designer, 3)["max pool 1"] == "first relu"
    press(designer.down_button)
    assert [texts[0] for texts in designer.table.rows][:4] == [
        "conv 1",
        "max pool 1",
        "first relu",
        "conv 2",
    ]
    assert cells(designer, 3)["first relu"] == "max pool 1"
    press(designer.up_button)
    type_text(designer.layer_form.name, "conv 2")
    assert "another layer is called 'conv 2'" in designer.status.text()
    click_layer(designer, "max pool 2")
    QTest.keyClick(designer.table, Qt.Key.Key_Delete)
    assert "max pool 2" not in cells(designer, 0)
    while designer.undo_button.isEnabled():
        press(designer.undo_button)
    assert designer.draft == start


def test_branches_are_joined_by_ticking_and_shown_in_the_diagram(designer):
    add(designer, "relu 2", "concatenate")
    assert cells(designer, 3)["concatenate 1"] == "relu 2, conv 2"
    tick(designer, "conv 2")
    assert "needs 2 to 32 inputs but has 1" in designer.status.text()
    tick(designer, "max pool 1")
    assert cells(designer, 3)["concatenate 1"] == "relu 2, max pool 1"
    assert cells(designer, 4)["concatenate 1"].startswith("48 x ")
    assert designer.table.wrong is None
    assert (3, 6, 0) in designer.diagram._drawing._skips
    click_layer(designer, "relu 2")
    first = designer.layer_form.inputs.first
    first.setCurrentText("max pool 1")
    first.activated.emit(first.currentIndex())
    assert "No later layer takes 'conv 2'" in designer.status.text()
    assert designer.table.wrong == 3
    QTest.mouseClick(designer.diagram._drawing, LEFT, pos=designer.diagram._drawing.box(1).center())
    assert designer.layer_form.name.text() == "conv 1"


def test_typing_a_number_is_one_step_back_and_what_cannot_be_is_refused(designer):
    start = designer.draft
    click_layer(designer, "conv 1")
    type_number(designer.layer_form.controls["filters"].native, 128)
    assert cells(designer, 4)["conv 1"].startswith("128 x ")
    type_number(designer.layer_form.controls["kernel"].native, 4)
    assert "odd side" in designer.status.text()
    assert designer.draft.layers[0].settings.kernel == 3
    press(designer.undo_button)
    assert designer.draft == start


def test_layers_go_to_a_file_and_come_back_and_strange_files_are_refused(
    designer, tmp_path, monkeypatch
):
    path = tmp_path / "mine"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    add(designer, "relu 1", "batch norm")
    built = designer.draft
    press(designer.export_button)
    path = path.with_suffix(".json")
    assert graph_from_json(path.read_text()) == built.graph()
    press(designer.undo_button)
    start = designer.draft
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    press(designer.import_button)
    assert designer.draft == built
    assert designer.name.text() == "mine"
    press(designer.undo_button)
    good = json.loads(path.read_text())
    for content, words in (
        (b"\xff\xfe nonsense", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[" + b" " * 500_000 + b"]", "too large"),
        (b"[]", "make no network"),
        (json.dumps({"layers": good["layers"], "code": "print()"}), "code"),
        (json.dumps({"layers": [{**good["layers"][0], "kind": "exec"}]}), "not known"),
        (json.dumps({"layers": good["layers"][1:]}), "no earlier layer"),
    ):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        press(designer.import_button)
        assert words in designer.status.text()
        assert designer.draft == start
    path.unlink()
    press(designer.import_button)
    assert "No such file" in designer.status.text()


def test_a_saved_network_is_gone_on_with_replaced_and_forgotten(desk, designer, train):
    assert not designer.forget_button.isEnabled()
    press(designer.save_button)
    index = designer.begin_with.findText("cifar_resnet")
    designer.begin_with.setCurrentIndex(index)
    designer.begin_with.activated.emit(index)
    assert len(designer.draft.layers) == 72
    assert designer.name.text() == "my cifar_resnet"
    type_text(designer.name, "my network")
    assert designer.save_button.text() == "Replace"
    press(designer.save_button)
    (record,) = desk.session.project.networks()
    assert graph_from_json(record.graph) == designer.draft.graph()
    designer.close()
    press(train.form.design_button)
    assert designer.name.text() == "my network"
    press(designer.forget_button)
    assert desk.session.project.networks() == ()
    assert train.form.network.findText("my network") < 0
    assert len(designer.draft.layers) == 72


def test_a_table_of_the_layers_is_shown_without_saving(desk, designer, train):
    press(designer.table_button)
    view = train.windows.view
    desk.qtbot.waitUntil(lambda: view.slot.state == "idle", timeout=60_000)
    assert [row[0] for row in view.table.rows] == [layer.name for layer in designer.draft.layers]
    assert desk.session.project is None


def test_every_control_of_the_designer_has_a_tooltip_and_a_name(designer):
    controls = [
        designer.begin_with, designer.name, designer.kind, designer.table, designer.diagram,
        designer.status, designer.layer_form.name, designer.layer_form.inputs.first,
        *designer.findChildren(QPushButton),
    ]  # fmt: skip
    for control in controls:
        assert control.toolTip(), control
        assert control.accessibleName(), control


def test_saved_networks_are_offered_for_the_task_that_they_do(qtbot):
    from napari_convnet.networks.draft import catalogue_graph

    form = NetworkForm()
    qtbot.addWidget(form)
    maps = graph_to_json(catalogue_graph("segnet", 2))
    saved = [
        NetworkRecord("cells", STARTER_GRAPH), NetworkRecord("maps", maps), NetworkRecord("odd", "{}"),
    ]  # fmt: skip
    form.show_task("classify")
    form.network.set_saved(saved)
    assert form.network.choose_saved("cells")
    assert (form.network.network_id, form.network.settings) == ("custom", {"graph": STARTER_GRAPH})
    assert not form.network.choose_saved("maps")
    form.network.set_saved(saved[::-1])
    assert form.network.currentText() == "cells"
    form.network.setCurrentText("resnet18")
    with qtbot.assertNotEmitted(form.network.currentIndexChanged):
        form.network.set_saved(saved)  # as when a project is begun: what is set stays
    form.show_task("segment")
    assert form.network.currentText() == "unet"
    assert form.network.choose_saved("maps")
    assert not form.network.choose_saved("odd")
    form.network.set_saved([])
    assert form.network.currentText() == "unet"
