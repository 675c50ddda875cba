"""Every verb is a command of napari's palette, and opens the dock that it needs."""

from __future__ import annotations

import inspect
from pathlib import Path

import npe2
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_convnet.widgets import commands

MANIFEST = npe2.PluginManifest.from_file(Path(__file__).parents[2] / "napari.yaml")
VERBS = [
    command
    for command in MANIFEST.contributions.commands
    if command.python_name.startswith("napari_convnet.widgets.commands:")
]


@pytest.fixture(autouse=True)
def no_dialogs(monkeypatch):
    """Nobody is there to answer: every file dialog is closed."""
    for dialog in ("getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(QFileDialog, dialog, lambda *_: ("", ""))


def test_every_function_of_the_module_is_a_command_and_the_other_way_round():
    functions = {
        name
        for name, value in inspect.getmembers(commands, inspect.isfunction)
        if value.__module__ == commands.__name__ and not name.startswith("_")
    }
    assert {command.python_name.partition(":")[2] for command in VERBS} == functions


@pytest.mark.parametrize("command", MANIFEST.contributions.commands, ids=lambda c: c.id)
def test_every_command_of_the_manifest_resolves(command):
    assert callable(npe2.manifest.utils.import_python_name(command.python_name))


@pytest.mark.parametrize("command", VERBS, ids=lambda c: c.id)
def test_a_command_opens_its_dock_and_reaches_it_again_after_it_was_closed(desk, command):
    desk.open_sample("blood-smear-1")
    verb = npe2.manifest.utils.import_python_name(command.python_name)
    verb(desk.viewer)
    verb(desk.viewer)
    docks = list(desk.viewer.window.dock_widgets.values())
    assert docks
    desk.wait_until_idle()
    for dock in docks:
        desk.close_dock(dock)
    assert not desk.viewer.window.dock_widgets
    verb(desk.viewer)
    assert len(desk.viewer.window.dock_widgets) == len(docks)
    assert not any("could not be opened" in message for message in desk.messages)


def test_commands_do_what_they_say(desk):
    desk.open_sample("blood-smear-1")
    commands.click_cells(desk.viewer)
    desk.qtbot.waitUntil(lambda: desk.session.active_tool is not None, timeout=10_000)
    commands.add_class(desk.viewer)
    assert len(desk.session.classes) == desk.session.current_class == 3
    commands.next_class(desk.viewer)
    assert desk.session.current_class == 1
    tool = desk.session.active_tool
    cell = tool.image.objects.labels[5]
    place = [axis[0] for axis in tool.image.objects.pixels(cell, tool.labels.data)]
    tool.annotate_at(tool.labels.data_to_world(place), 1)
    commands.undo(desk.viewer)
    assert sum(desk.session.class_counts()) == 0
    commands.redo(desk.viewer)
    assert sum(desk.session.class_counts()) == 1
    commands.paint_strokes(desk.viewer)
    assert desk.session.task == "segment"


def test_the_palette_lists_every_verb(make_napari_viewer):
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    viewer.window.add_plugin_dock_widget("napari-convnet", "Annotate")
    app = get_app_model()
    listed = {item.command.id for item in app.menus.get_menu(app.menus.COMMAND_PALETTE_ID)}
    assert {command.id for command in VERBS} <= listed
