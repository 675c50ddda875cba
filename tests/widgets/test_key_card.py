"""The key card, the README and the keys of the layers say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dock_helpers import press
from qtpy.QtCore import Qt

from napari_convnet.widgets.tools import GESTURES, KEYS, TOOLS, gesture_table

README = Path(__file__).parents[2] / "README.md"


def shown(table) -> list[list[str]]:
    rows = range(-1, table.rowCount())
    columns = range(table.columnCount())
    return [
        [(table.horizontalHeaderItem(x) if y < 0 else table.item(y, x)).text() for x in columns]
        for y in rows
    ]


def markdown(rows) -> str:
    header, *body = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows]
    while any("|  |" in line for line in body):
        body = [line.replace("|  |", "| |") for line in body]
    return "\n".join([header, "|" + "---|" * len(rows[0]), *body])


def test_the_readme_has_both_tables_of_the_program():
    text = README.read_text()
    section = text[text.index("### Keys and mouse") :].split("\n## ")[0]
    assert markdown(gesture_table()) in section
    keys = [["key", "what it does"], *([f"**{key}**", what] for key, what in KEYS)]
    assert markdown(keys) in section


def test_every_gesture_of_a_tool_is_a_row():
    assert {gesture for entry in TOOLS.values() for gesture in entry.gestures} == set(GESTURES)


@pytest.mark.parametrize("how", ["button", "key"])
def test_the_card_shows_both_tables_and_goes_with_its_dock(desk, how):
    desk.viewer.add_image(np.zeros((64, 64)), name="image")
    dock = desk.open_dock("Annotate")
    if how == "button":
        press(dock.keys_button)
    else:
        desk.use_tool(dock, "pick_patches")
        desk.key(Qt.Key.Key_F1)
    card = dock.key_card
    assert card.isVisible()
    assert not card.isModal()
    assert shown(card.gestures) == gesture_table()
    assert shown(card.keys)[1:] == [list(row) for row in KEYS]
    assert card.width() <= 1000
    assert card.height() <= 700
    for table in (card.gestures, card.keys):  # nothing is cut off
        assert table.horizontalScrollBar().maximum() == 0
        assert table.verticalScrollBar().maximum() == 0
    desk.close_dock(dock)


def test_the_card_names_the_modifier_of_the_preferences(desk):
    from napari.settings import get_plugin_settings

    from napari_convnet.widgets.key_card import KeyCard

    keys = get_plugin_settings("napari-convnet").keys
    before, keys.class_modifier = keys.class_modifier, "Alt"
    try:
        dock = desk.open_dock("Annotate")
        card = KeyCard(dock)
        assert card.keys.item(0, 0).text() == "Alt+1 to Alt+9"
    finally:
        keys.class_modifier = before


def test_buttons_and_status_take_their_words_from_the_table(desk):
    desk.viewer.add_image(np.zeros((64, 64)), name="image")
    dock = desk.open_dock("Annotate")
    tool = desk.use_tool(dock, "pick_patches")
    for sentence in TOOLS["pick_patches"].tips:
        assert sentence in dock.tool_buttons["pick_patches"].toolTip()
        assert sentence in dock.status.text()
    assert TOOLS["pick_patches"].gestures["Ctrl+drag"] in dock.status.text()
    for key in ("F1", "N", "Delete", "Backspace", "Control-Z", "Control-Shift-Z", "Control-9"):
        assert any(str(bound) == key.replace("-", "+").replace("Control", "Ctrl") for bound in
                   tool.layer.keymap), key  # fmt: skip
