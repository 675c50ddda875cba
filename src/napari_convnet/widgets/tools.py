"""The table of tasks, tools, mouse gestures and keys: what buttons, tips and the key card are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_convnet.widgets.annotation_tools import AnnotationTool
from napari_convnet.widgets.cell_tool import CellTool
from napari_convnet.widgets.paint_tool import PaintTool
from napari_convnet.widgets.patch_tool import PatchTool
from napari_convnet.widgets.position_tool import PositionTool

#: Name and tip of each task's button.
TASKS = {
    "classify": ("Classify cells", "Give cells or patches of the image a class."),
    "segment": ("Segment", "Paint what each pixel is."),
    "locate": ("Locate", "Mark objects that are points, such as spots or centres."),
}

CLICK, DRAG, SHIFT_DRAG, CONTROL_DRAG, REMOVE = GESTURES = (
    "click",
    "drag",
    "Shift+drag",
    "Ctrl+drag",
    "Alt+click, Delete",
)
_PANS, _NAPARIS = "move the image", "(napari's eraser)"


@dataclass(frozen=True)
class ToolEntry:
    """A tool of the Annotate dock.

    Parameters
    ----------
    tool
        Its class, with the title of its button.
    task
        The task that it annotates for.
    gestures
        What each of `GESTURES` does; those that do nothing are left out.
    note
        What a person should know besides.
    """

    tool: type[AnnotationTool]
    task: str
    gestures: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def tips(self) -> tuple[str, ...]:
        """One sentence for each thing that gestures of the tool's own do, then the note."""
        own: dict[str, list[str]] = {}
        for how, what in self.gestures.items():
            if what not in (_PANS, _NAPARIS):
                own.setdefault(what, []).append(how)
        sentences = [f"{' or '.join(gestures)}: {what}." for what, gestures in own.items()]
        return tuple(text[0].upper() + text[1:] for text in (*sentences, self.note) if text)


TOOLS = {
    "click_cells": ToolEntry(CellTool, "classify", {
        CLICK: "give the cell the chosen class",
        DRAG: _PANS,
        SHIFT_DRAG: "every cell on the way",
        CONTROL_DRAG: "all cells in a rectangle that have no class",
        REMOVE: "take the class away",
    }),
    "pick_patches": ToolEntry(PatchTool, "classify", {
        CLICK: "place a patch; on a patch's middle: give it the chosen class",
        DRAG: f"{_PANS}; a patch's middle: move the patch",
        CONTROL_DRAG: "a patch of any size",
        REMOVE: "remove the patch",
    }),
    "paint_strokes": ToolEntry(PaintTool, "segment", {
        CLICK: "paint",
        DRAG: "paint",
        REMOVE: _NAPARIS,
    }, "Paint a few strokes of each class; unpainted pixels teach nothing. Napari's eraser takes strokes away."),
    "mark_positions": ToolEntry(PositionTool, "locate", {
        CLICK: "mark a position; on a marked one: give it the chosen class",
        DRAG: f"{_PANS}; a marked position: move it",
        REMOVE: "remove the position",
    }),
}  # fmt: skip

#: Keys that do the same with every tool; the first is the class modifier of the preferences.
KEYS = (
    ("Ctrl+1 to Ctrl+9", "choose a class"),
    ("N", "go to the next place to annotate"),
    ("Ctrl+Z, Ctrl+Shift+Z", "undo, redo"),
    ("Page Down, Page Up", "in the list of images: open the next, the previous image"),
    ("[, ]", "while painting: smaller, larger brush"),
    ("Space (held)", "while painting: a drag moves the image"),
    ("I", "while painting: switch the instant preview on or off"),
    ("F1", "show these keys"),
)


def name_of(tool: AnnotationTool) -> str:
    """Return the name under which a tool is in the table."""
    return next(name for name, entry in TOOLS.items() if isinstance(tool, entry.tool))


def gesture_table() -> list[list[str]]:
    """Return the rows of gestures by tool, the titles of the tools first."""
    entries = TOOLS.values()
    rows = [
        [gesture, *(entry.gestures.get(gesture, "") for entry in entries)] for gesture in GESTURES
    ]
    return [["", *(entry.tool.title for entry in entries)], *rows]
