"""The text of a job's progress with the time that is left, reckoned anew for each part of the job."""

from __future__ import annotations

import time

from napari_convnet.progress import Progress, format_seconds, seconds_left


class TimeLeft:
    """Knows when the present part of a job began: the one with as many steps."""

    def __init__(self) -> None:
        self._total, self._done_before = -1, 0
        self._start = 0.0

    def describe(self, event: Progress, instead: str = "") -> str:
        """Return what an event tells, or ``instead`` where it tells nothing, and the time left where that is known."""
        if event.total != self._total:
            self._total, self._done_before = event.total, event.done
            self._start = time.monotonic()
        elapsed, before = time.monotonic() - self._start, self._done_before
        left = seconds_left(elapsed, event.done - before, event.total - before)
        text = event.text or instead
        return text if left is None else f"{text}, {format_seconds(left)} left"
