"""Undo and redo of everything that changes a project, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_STEPS_KEPT = 500


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
    """Steps that were done, and steps that were taken back."""

    def __init__(self) -> None:
        self._done: list[Change] = []
        self._undone: list[Change] = []

    def do(self, change: Change) -> None:
        """Carry out a step and remember it; one that fails leaves no trace."""
        change.do()
        self.note(change)

    def note(self, change: Change) -> None:
        """Remember a step that has been carried out already."""
        self._done = [*self._done[1 - _STEPS_KEPT :], change]
        self._undone.clear()

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

    @staticmethod
    def _move(
        source: list[Change], target: list[Change], carry_out: Callable[[Change], None]
    ) -> Change | None:
        if not source:
            return None
        carry_out(source[-1])
        target.append(source.pop())
        return target[-1]
