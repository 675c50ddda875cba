"""The question what the axes of an image are, with what each answer makes of it."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QWidget

from napari_convnet.widgets.arrangement import CHANNELS, COLOURS, HEIGHT, WIDTH, axis_order
from napari_convnet.widgets.controls import combo_box, text_line
from napari_convnet.widgets.layers import image_data

#: What an axis can be: letter and what the person reads.
MEANINGS = {
    HEIGHT: "height (y)",
    WIDTH: "width (x)",
    CHANNELS: "channels: looked at together",
    "z": "depth (z): planes of one volume",
    "t": "time (t): frames of one film",
    "s": "a series of separate images",
    COLOURS: "colours: red, green, blue",
}
_COUNTED = {"z": "planes in depth", "t": "frames", "s": "separate images"}
#: Every channel becomes a layer, and more than these nobody could handle.
_MOST_CHANNELS = 100


class AxesDialog(QDialog):
    """Asks what each axis is; only height and width are suggested where the file does not say."""

    def __init__(self, layer: Image, known: tuple[str, ...], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("What are the axes of this image?")
        self._shape = tuple(image_data(layer).array.shape)
        self._form = QFormLayout(self)
        line = text_line("What is asked")
        line.setText(
            f"'{layer.name[:60]}' has {len(self._shape)} axes, and nothing says what they mean. You are asked once "
            "for each file."
        )
        self._form.addRow(line)
        self.choices: list[QComboBox] = []
        for axis, letter in enumerate(suggested(self._shape, known)):
            self._add_choice(axis, letter)
        self._held = self.answer()
        self.outcome = text_line("What this answer makes of the image")
        self._form.addRow(self.outcome)
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._form.addRow(self.buttons)
        self._check()

    def _add_choice(self, axis: int, letter: str) -> None:
        choice = combo_box(
            f"Meaning of axis {axis}",
            "Channels become layers of their own; depth, time and series become sliders.",
            [("choose…", "")],
            can_shrink=False,
        )
        for value, text in MEANINGS.items():
            if value != COLOURS or _may_be_colours(self._shape, axis):
                choice.addItem(text, value)
        choice.setCurrentIndex(max(0, choice.findData(letter)))
        choice.currentIndexChanged.connect(self._choose)
        self.choices.append(choice)
        self._form.addRow(f"Axis {axis}: {self._shape[axis]:,} long", choice)

    def answer(self) -> tuple[str, ...]:
        """Return one letter for each axis."""
        return tuple(choice.currentData() for choice in self.choices)

    def _choose(self, _index: int) -> None:
        """No two axes mean the same: the other one takes what this one was before."""
        answer = self.answer()
        changed = [
            k for k, (new, old) in enumerate(zip(answer, self._held, strict=True)) if new != old
        ]
        for axis in changed:
            for other, choice in enumerate(self.choices):
                if (
                    other != axis
                    and answer[axis] not in ("", "s")
                    and answer[other] == answer[axis]
                ):
                    with QSignalBlocker(choice):
                        choice.setCurrentIndex(max(0, choice.findData(self._held[axis])))
        self._held = self.answer()
        self._check()

    def _check(self) -> None:
        problem = self._problem()
        self.outcome.setText(problem or self._outcome())
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(not problem)

    def _problem(self) -> str:
        answer = self.answer()
        if HEIGHT not in answer or WIDTH not in answer:
            return "Choose which axis is height and which is width."
        if "" in answer:
            return f"Choose what axis {answer.index('')} is."
        if CHANNELS in answer and COLOURS in answer:
            return "An image has channels or colours, not both."
        if CHANNELS in answer and self._shape[answer.index(CHANNELS)] > _MOST_CHANNELS:
            n = self._shape[answer.index(CHANNELS)]
            return f"{n:,} channels would be {n:,} layers, but {_MOST_CHANNELS} are the most. Is it depth or time?"
        return ""

    def _outcome(self) -> str:
        """Say what the image becomes, so that a wrong answer is seen."""
        answer = self.answer()
        sizes = dict(zip(answer, self._shape, strict=True))
        others = [
            f"{self._shape[k]:,} {_COUNTED[answer[k]]}"
            for k in axis_order("".join(answer)) if answer[k] in _COUNTED
        ]  # fmt: skip
        what = (
            f"{sizes[CHANNELS]:,} layers, one for each channel,"
            if CHANNELS in sizes
            else "One image"
        )
        if COLOURS in sizes:
            what = "One colour image"
        return (
            " with ".join(
                [
                    f"{what} of {sizes[HEIGHT]:,} x {sizes[WIDTH]:,} pixels",
                    *([" and ".join(others)] if others else []),
                ]
            )
            + "."
        )


def suggested(shape: tuple[int, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is known of the axes and, where neither is said, which are likely height and width."""
    if HEIGHT in known or WIDTH in known:
        return known
    free = [axis for axis, letter in enumerate(known) if not letter]
    if len(free) < 2:
        return known
    # Channels that come last are few beside the pixels of a side.
    if len(free) > 2 and 4 * shape[free[-1]] <= min(shape[free[-2]], shape[free[-3]]):
        free = free[:-1]
    return tuple(
        {free[-2]: HEIGHT, free[-1]: WIDTH}.get(axis, letter) for axis, letter in enumerate(known)
    )


def _may_be_colours(shape: tuple[int, ...], axis: int) -> bool:
    return axis == len(shape) - 1 and len(shape) > 2 and shape[axis] in (3, 4)
