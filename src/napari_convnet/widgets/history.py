"""Undo and redo of everything that changes a project, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_convnet.errors import UserError

_STEPS_KEPT = 500

#: Steps that were done and steps that were taken back.
Steps = tuple[tuple["Change", ...], tuple["Change", ...]]


@dataclass(frozen=True)
class Change:
    """One step: how it is done and how it is taken back.

    Parameters
    ----------
    do, undo
        Both raise and change nothing when they cannot.
    text
        What it is, such as "delete class 'debris'", for the message that tells what was undone.
    """

    do: Callable[[], None]
    undo: Callable[[], None]
    text: str = ""


class History:
    """Steps that were done, and steps that were taken back.

    While a step is carried out in the background, ``busy_with`` says which, and no other is.
    """

    def __init__(self) -> None:
        self.busy_with = ""
        self._done: list[Change] = []
        self._undone: list[Change] = []

    def do(self, change: Change) -> None:
        """Carry out a step and remember it; one that fails leaves no trace.

        Raises
        ------
        UserError
            CN-316 while another step is carried out in the background.
        """
        self.refuse_while_busy()
        change.do()
        self.note(change)

    def note(self, change: Change) -> None:
        """Remember a step that has been carried out already."""
        self._done = [*self._done[1 - _STEPS_KEPT :], change]
        self._undone.clear()

    def refuse_while_busy(self) -> None:
        """Raise CN-316 while a step is carried out in the background."""
        if self.busy_with:
            raise UserError(
                "CN-316",
                f"Not done: {self.busy_with} is not finished yet. Nothing was changed. Try again in a moment.",
            )

    def steps(self) -> Steps:
        """Return all steps, for `restore`."""
        return tuple(self._done), tuple(self._undone)

    def restore(self, steps: Steps) -> None:
        """Be as it was, because a step has failed after all."""
        self._done, self._undone = list(steps[0]), list(steps[1])

    def clear(self) -> None:
        """Forget all steps."""
        self._done.clear()
        self._undone.clear()

    def undo(self) -> Change | None:
        """Take back the newest step and return it; None when there is none."""
        return self._move(self._done, self._undone, lambda change: change.undo())

    def redo(self) -> Change | None:
        """Do the step again that was taken back last and return it; None when there is none."""
        return self._move(self._undone, self._done, lambda change: change.do())

    def _move(
        self,
        source: list[Change],
        target: list[Change],
        carry_out: Callable[[Change], None],
    ) -> Change | None:
        self.refuse_while_busy()
        if not source:
            return None
        carry_out(source[-1])
        target.append(source.pop())
        return target[-1]
