"""The class table: names, colours, counts, keys; nothing is lost by a bad name."""

from __future__ import annotations

import numpy as np
import pytest
from dock_helpers import CONTROL, SHIFT, press
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QColorDialog, QInputDialog, QLineEdit

from napari_convnet.classes import make_classes


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
    choose(annotate.class_table, "Colour…")
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

    def answer(_parent, _title, text, _choices, *_):
        questions.append(text)
        return "delete them too", len(questions) > 1

    monkeypatch.setattr(QInputDialog, "getItem", answer)
    desk.session.set_current_class(2)
    press(annotate.class_table.delete_button)
    assert desk.session.class_counts() == before
    press(annotate.class_table.delete_button)
    assert f"{before[1]:,}" in questions[0]
    assert desk.session.class_counts() == shown_cells(tool, 3) == [before[0], *before[2:]]
    assert tool.is_selected
    # Undo brings everything back, and then the clicks before it one by one.
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert desk.session.class_counts() == shown_cells(tool, 4) == before
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert sum(shown_cells(tool, 4)) == 29
    for _ in range(2):
        desk.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert desk.session.class_counts() == shown_cells(tool, 3) == [before[0], *before[2:]]


def shown_cells(tool, n_classes) -> list[int]:
    """Count the cells of each class in the layer."""
    cells, shown = tool.labels.data, tool.layer.data
    return [len(np.unique(cells[shown == value])) for value in range(1, n_classes + 1)]


def choose(class_table, text) -> None:
    """Choose an entry of the More menu."""
    next(a for a in class_table.more_button.menu().actions() if a.text() == text).trigger()


def test_a_merged_class_gives_its_annotations_to_another(desk, annotate, monkeypatch):
    desk.open_sample("blood-smear-1")
    tool = desk.annotate_smear(annotate, n=30)
    before, named = desk.session.class_counts(), names(desk)
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: (named[0], True))
    desk.session.set_current_class(3)
    choose(annotate.class_table, "Merge into…")
    assert names(desk) == [*named[:2], *named[3:]]
    assert shown_cells(tool, 3) == [before[0] + before[2], before[1], before[3]]
    desk.key(Qt.Key.Key_Z, CONTROL)
    assert names(desk) == named
    assert shown_cells(tool, 4) == before


def test_a_moved_class_keeps_its_annotations_and_stays_chosen(desk, annotate):
    desk.open_sample("blood-smear-1")
    tool = desk.annotate_smear(annotate, n=30)
    before, named = desk.session.class_counts(), names(desk)
    desk.session.set_current_class(1)
    choose(annotate.class_table, "Move up")  # there is nothing above
    assert names(desk) == named
    choose(annotate.class_table, "Move down")
    assert names(desk) == [named[1], named[0], *named[2:]]
    assert desk.session.current_class == 2
    assert shown_cells(tool, 4) == [before[1], before[0], *before[2:]]


def test_painted_classes_are_renumbered_and_brought_back(desk, annotate):
    desk.open_sample("bacteria-1")
    press(annotate.task_buttons["segment"])
    press(annotate.class_table.add_button)
    tool = desk.use_tool(annotate, "paint_strokes")
    for value in (1, 2, 3):
        desk.choose_class(value)
        desk.stroke(tool.layer, [(30 * value, 50), (30 * value, 90)])
    painted = tool.layer.data.copy()
    desk.session.delete_class(2, give_to=3)
    assert set(np.unique(tool.layer.data)) == {0, 1, 2}
    assert (tool.layer.data[60, 50:90] == 2).all()
    desk.session.undo()
    assert np.array_equal(tool.layer.data, painted)
    desk.session.undo()  # the last stroke
    assert not (tool.layer.data == 3).any()


def test_many_classes_are_found_by_a_part_of_their_name(desk, annotate):
    table = annotate.class_table
    assert table.search.isHidden()
    desk.session.set_classes(make_classes(f"cell type {n}" for n in range(30)))
    assert len({info.colour for info in desk.session.classes}) == 30
    assert not table.search.isHidden()
    QTest.keyClicks(table.search, "pe 27")
    assert [row for row in range(30) if not table.table.isRowHidden(row)] == [27]
    QTest.keyClick(table.search, Qt.Key.Key_Return)
    assert desk.session.current_class == 28
    assert not any(table.table.isRowHidden(row) for row in range(30))


def test_two_classes_are_the_least(desk, annotate):
    press(annotate.class_table.delete_button)
    assert len(desk.messages) == 1
    assert len(desk.session.classes) == 2
