"""The class table: names, colours, counts, keys; nothing is lost by a bad name."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QColorDialog, QLineEdit, QMessageBox


@pytest.fixture
def annotate(desk):
    return desk.open_dock("Annotate")


def type_name(table, row: int, name: str) -> None:
    """Double-click a name, type another, press Return."""
    centre = table.visualItemRect(table.item(row, 0)).center()
    left, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mouseClick(table.viewport(), left, no_key, centre)
    QTest.mouseDClick(table.viewport(), left, no_key, centre)
    editor = table.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, name)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    QApplication.processEvents()


def names(desk) -> list[str]:
    return [info.name for info in desk.session.classes]


def test_a_typed_name_renames_the_class(desk, annotate):
    type_name(annotate.class_table.table, 1, "mitosis")
    assert names(desk) == ["class 1", "mitosis"]
    assert annotate.class_table.table.item(1, 0).text() == "mitosis"


@pytest.mark.parametrize("name", ["class 1", "", "x" * 61])
def test_a_name_that_cannot_be_is_refused_and_the_old_one_stays(desk, annotate, name):
    type_name(annotate.class_table.table, 1, name or " ")
    assert len(desk.messages) == 1
    assert names(desk) == ["class 1", "class 2"]
    assert annotate.class_table.table.item(1, 0).text() == "class 2"


def test_the_chosen_row_is_the_class_that_is_annotated(desk, annotate):
    table = annotate.class_table.table
    place = table.visualItemRect(table.item(1, 0)).center()
    QTest.mouseClick(
        table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place
    )
    assert desk.session.current_class == 2
    desk.session.set_current_class(1)
    assert [index.row() for index in table.selectionModel().selectedRows()] == [0]


def test_twelve_classes_have_distinct_colours_and_nine_keys(desk, annotate):
    for _ in range(10):
        press(annotate.class_table.add_button)
    table = annotate.class_table.table
    assert table.rowCount() == 12
    assert [table.item(row, 2).text() for row in (0, 8, 9)] == ["Ctrl+1", "Ctrl+9", ""]
    assert len({info.colour for info in desk.session.classes}) == 12
    assert desk.session.current_class == 12


def test_a_new_colour_is_shown_in_the_annotations_at_once(desk, annotate, monkeypatch):
    desk.open_sample("blood-smear-1")
    tool = desk.use_tool(annotate, "click_cells")
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor("#123456"))
    press(annotate.class_table.colour_button)
    assert desk.session.classes[0].colour == "#123456"
    assert np.allclose(tool.layer.colormap.color_dict[1][:3], np.array([0x12, 0x34, 0x56]) / 255)
    assert desk.session.project.classes("classify")[0].colour == "#123456"


def test_deleting_a_class_asks_when_it_has_annotations_and_renumbers_the_layer(
    desk, annotate, monkeypatch
):
    desk.open_sample("blood-smear-1")
    tool = desk.annotate_smear(annotate, n=30)
    before = desk.session.class_counts()
    questions = []

    def answer(_parent, _title, text):
        questions.append(text)
        return (
            QMessageBox.StandardButton.Yes if len(questions) > 1 else QMessageBox.StandardButton.No
        )

    monkeypatch.setattr(QMessageBox, "question", answer)
    desk.session.set_current_class(2)
    press(annotate.class_table.delete_button)
    assert desk.session.class_counts() == before
    press(annotate.class_table.delete_button)
    assert f"{before[1]:,}" in questions[0]
    assert desk.session.class_counts() == [before[0], *before[2:]]
    assert tool.is_selected
    cells = {
        value: len(np.unique(tool.labels.data[tool.layer.data == value])) for value in (1, 2, 3)
    }
    assert [cells[1], cells[2], cells[3]] == [before[0], *before[2:]]


def test_two_classes_are_the_least(desk, annotate):
    press(annotate.class_table.delete_button)
    assert len(desk.messages) == 1
    assert len(desk.session.classes) == 2
