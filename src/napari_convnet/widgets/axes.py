"""What the axes of an image mean: asked once where the file does not say, and remembered."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.colormaps import CMYBGR, MAGENTA_GREEN
from platformdirs import user_data_path
from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QWidget

from napari_convnet.atomic import write_atomically
from napari_convnet.errors import UserError
from napari_convnet.widgets.closed_images import channel
from napari_convnet.widgets.layers import image_data
from napari_convnet.widgets.placement import placement_of

#: What an axis before Y and X can be: letter and what the person reads.
_MEANINGS = {
    "c": "channels: they are looked at together",
    "z": "depth (z): planes of one volume",
    "t": "time (t): frames of one film",
    "s": "a series of separate images",
}
_SYNONYMS = {"channel": "c", "channels": "c", "depth": "z", "time": "t", "plane": "z", "frame": "t"}
_MOST_REMEMBERED = 1000
#: Key of ``layer.metadata`` under which a channel keeps the file of its stack.
_FILE = "napari_convnet_file"


def leading_axes(layer: Image) -> tuple[str, ...]:
    """Return what is known of the axes before Y and X: ``"c"``, ``"z"``, ``"t"``, ``"s"``, or ``""``."""
    labels = [str(label).casefold() for label in layer.axis_labels[: layer.ndim - 2]]
    letters = (_SYNONYMS.get(label, label) for label in labels)
    return tuple(letter if letter in _MEANINGS else "" for letter in letters)


def settle_axes(viewer: ViewerModel, layer: Image, parent: QWidget) -> list[Image] | None:
    """Make sure that an image's axes are known, asking the person where they are not.

    Returns
    -------
    list of Image or None
        The layer with its axes named, or the layers of its channels, which take its place; None
        when the person did not answer.

    Raises
    ------
    UserError
        CN-403 when the channels of a locked layer would have to be split.
    """
    known = leading_axes(layer)
    if all(letter and letter != "c" for letter in known):
        return [layer]
    path = str(layer.source.path or "")
    answer = _remembered(path, len(known)) or _ask(layer, known, parent)
    if answer is None:
        return None
    if path:
        _remember(path, answer)
    layer.axis_labels = (*answer, "y", "x")
    return _split(viewer, layer, answer.index("c")) if "c" in answer else [layer]


class AxesDialog(QDialog):
    """Asks what each axis before Y and X is; nothing is chosen beforehand that the file does not say."""

    def __init__(self, layer: Image, known: tuple[str, ...], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("What are the axes of this image?")
        form = QFormLayout(self)
        shape = image_data(layer).array.shape
        line = QLabel(
            f"'{layer.name}' has {layer.ndim} axes: {' x '.join(map(str, shape))}. The last two are height and "
            "width. You are asked once for each file."
        )
        line.setWordWrap(True)
        form.addRow(line)
        self.choices: list[QComboBox] = []
        for axis, letter in enumerate(known):
            choice = QComboBox()
            choice.setAccessibleName(f"Meaning of axis {axis}")
            choice.setToolTip("Channels become layers of their own; other axes become sliders.")
            choice.addItem("choose…", "")
            for value, text in _MEANINGS.items():
                choice.addItem(text, value)
            choice.setCurrentIndex(max(0, choice.findData(letter)))
            choice.currentIndexChanged.connect(self._check)
            self.choices.append(choice)
            form.addRow(f"Axis {axis} ({shape[axis]} planes)", choice)
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        form.addRow(self.buttons)
        self._check()

    def answer(self) -> tuple[str, ...]:
        """Return one letter for each axis."""
        return tuple(choice.currentData() for choice in self.choices)

    def _check(self) -> None:
        answer = self.answer()
        is_complete = all(answer) and answer.count("c") <= 1
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(is_complete)


def _ask(layer: Image, known: tuple[str, ...], parent: QWidget) -> tuple[str, ...] | None:
    dialog = AxesDialog(layer, known, parent)
    try:
        is_answered = dialog.exec() == QDialog.DialogCode.Accepted
        return dialog.answer() if is_answered else None
    finally:
        dialog.deleteLater()


def _split(viewer: ViewerModel, layer: Image, axis: int) -> list[Image]:
    """Put one layer for each channel in the place of an image; nothing is copied."""
    if layer.locked:
        raise UserError(
            "CN-403",
            f"Layer '{layer.name}' is locked, so its channels were not split into layers. Nothing was changed. "
            "Unlock it in the layer list.",
        )
    n_channels = image_data(layer).array.shape[axis]
    colours = itertools.cycle(MAGENTA_GREEN if n_channels == 2 else CMYBGR)
    placement = placement_of(layer).keep([k for k in range(layer.ndim) if k != axis])
    position, levels = viewer.layers.index(layer), _levels(layer)
    channels = [
        Image(
            [channel(level, axis, number) for level in levels] if layer.multiscale
            else channel(levels[0], axis, number),
            name=f"{layer.name} channel {number + 1}", blending="additive", colormap=colour,
            multiscale=layer.multiscale, metadata={**layer.metadata, _FILE: str(layer.source.path or "")},
            **placement.as_arguments(),
        )
        for number, colour in zip(range(n_channels), colours, strict=False)
    ]  # fmt: skip
    shown = np.delete(viewer.dims.point[-layer.ndim :], axis)
    viewer.layers.remove(layer)
    for each in reversed(channels):
        viewer.layers.insert(position, each)
    # The person goes on looking at the same plane.
    first = viewer.dims.ndim - len(shown)
    viewer.dims.set_point(range(first, viewer.dims.ndim), shown)
    return channels


def _levels(layer: Image) -> list:
    return list(layer.data) if layer.multiscale else [layer.data]


def file_of(layer: Image) -> str:
    """Return the file that a layer, or the stack that it is a channel of, was read from; or ""."""
    return str(layer.source.path or layer.metadata.get(_FILE, ""))


# Answers are kept for each file, in the person's data folder.


def _store() -> Path:
    return user_data_path("napari-convnet", appauthor=False) / "axes.json"


def _all_remembered() -> dict[str, str]:
    try:
        found = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_sound = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return found if is_sound else {}


def _remembered(path: str, n_axes: int) -> tuple[str, ...] | None:
    letters = _all_remembered().get(path, "") if path else ""
    return tuple(letters) if len(letters) == n_axes and set(letters) <= set(_MEANINGS) else None


def _remember(path: str, answer: tuple[str, ...]) -> None:
    kept = {**_all_remembered(), path: "".join(answer)}
    text = json.dumps(dict(list(kept.items())[-_MOST_REMEMBERED:]), indent=1)
    with suppress(UserError, OSError, UnicodeEncodeError):  # then it will be asked again
        _store().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_store(), text.encode())
