"""Undo and redo of annotations, whatever layer and table they went to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_STEPS_KEPT = 500


@dataclass(frozen=True)
class Change:
    """One step: how it is done and how it is taken back."""

    do: Callable[[], None]
    undo: Callable[[], None]


class History:
    """Steps that were done, and steps that were taken back."""

    def __init__(self) -> None:
        self._done: list[Change] = []
        self._undone: list[Change] = []

    def do(self, change: Change) -> None:
        """Carry out a step and remember it; one that fails leaves no trace."""
        change.do()
        self._done = [*self._done[1 - _STEPS_KEPT :], change]
        self._undone.clear()

    def clear(self) -> None:
        """Forget all steps."""
        self._done.clear()
        self._undone.clear()

    def undo(self) -> bool:
        """Take back the newest step; return False when there is none."""
        return self._move(self._done, self._undone, lambda change: change.undo())

    def redo(self) -> bool:
        """Do the step again that was taken back last; return False when there is none."""
        return self._move(self._undone, self._done, lambda change: change.do())

    @staticmethod
    def _move(
        source: list[Change], target: list[Change], carry_out: Callable[[Change], None]
    ) -> bool:
        if not source:
            return False
        carry_out(source[-1])
        target.append(source.pop())
        return True
