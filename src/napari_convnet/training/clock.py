"""The time that a training has taken: pauses do not count, and what went before a resumption does."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence

#: The schedule of a time-limited training goes on in this many parts, so that it can be written down.
_PARTS = 200


class Clock:
    """Seconds of training."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._paused_at: float | None = None

    @property
    def seconds(self) -> float:
        """Time since the start, without pauses."""
        until = time.monotonic() if self._paused_at is None else self._paused_at
        return until - self._started

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._paused_at is not None

    def pause(self) -> None:
        """Stand still until `go_on`."""
        if self._paused_at is None:
            self._paused_at = time.monotonic()

    def go_on(self) -> None:
        """Go on after `pause`."""
        if self._paused_at is not None:
            self._started += time.monotonic() - self._paused_at
            self._paused_at = None

    def set(self, seconds: float) -> None:
        """Go on from so many seconds."""
        self._started = time.monotonic() - seconds


class Pace:
    """How a time-limited training went on, in 200 parts, so that it can be repeated by steps.

    Parameters
    ----------
    steps
        ``steps[k]`` is the step at which k + 1 of the parts were over, as an earlier run recorded it;
        the clock is then not looked at.
    """

    def __init__(self, steps: Sequence[int] | None = None) -> None:
        self.steps = [] if steps is None else list(steps)
        self._repeats = steps is not None
        self._last = (-1, 0.0)

    def share(self, step: int, seconds: float, limit: float) -> float:
        """Return the share of the time that is over at a step: one value a step, a multiple of a part."""
        if step != self._last[0]:
            if self._repeats:
                parts = bisect_right(self.steps, step)
            else:
                parts = min(_PARTS, int(_PARTS * seconds / max(1e-3, limit)))
                self.steps += [step] * (parts - len(self.steps))
                parts = len(self.steps)
            self._last = (step, parts / _PARTS)
        return self._last[1]
