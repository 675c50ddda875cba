"""A job is a generator of its progress: what each event tells, and how the generator is run to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One step of a job.

    Parameters
    ----------
    done, total
        Steps finished and steps in all; ``total`` is 0 while it is not known.
    text
        What is going on, for a person.
    """

    done: int
    total: int
    text: str

    @property
    def share(self) -> float:
        """Share of the steps that are finished, from 0 to 1; 0 while their number is not known."""
        return min(1.0, self.done / self.total) if self.total else 0.0


def run(steps: Generator[Any, None, Result]) -> Result:
    """Exhaust a job's generator and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def told_as(
    steps: Generator[Any, None, Result], tell: Callable[[Any], Progress]
) -> Generator[Progress, None, Result]:
    """Tell the events of a job in the words of the one that it is a part of; returns what its steps return."""
    with closing(steps):
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                return end.value
            yield tell(event)


def until_stop(
    steps: Generator[Any, None, Result], stop: threading.Event
) -> Generator[Any, None, Result | None]:
    """Pass the events of a job on until it ends or is stopped: then None, and nothing of it goes on."""
    with closing(steps):
        while not stop.is_set():
            try:
                yield next(steps)
            except StopIteration as end:
                return end.value
    return None


def format_seconds(seconds: float) -> str:
    """Write a duration as people say it: ``8 s``, ``2 min 05 s``, ``1 h 03 min``."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def seconds_left(elapsed: float, done: int, total: int) -> float | None:
    """Return the seconds that remain at the present pace, or None while nothing is known."""
    if done <= 0 or total <= 0:
        return None
    return elapsed / done * max(0, total - done)
