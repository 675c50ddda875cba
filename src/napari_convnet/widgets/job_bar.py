"""The bar of a background job in napari's activity dock."""

from __future__ import annotations

import time

from napari.utils import progress

from napari_convnet.progress import Progress, format_seconds, seconds_left


class JobBar:
    """A bar in napari's activity dock, with the time left in its text; lives on the GUI thread."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._bar = progress(total=0, desc=description)
        self._phase_total = 0
        self._phase_start = time.monotonic()

    def show(self, event: Progress) -> None:
        """Show how far the job is."""
        if event.total != self._phase_total:
            self._phase_total = self._bar.total = event.total
            self._phase_start = time.monotonic()
        self._bar.update(event.done - self._bar.n)
        left = seconds_left(time.monotonic() - self._phase_start, event.done, event.total)
        text = event.text or self._description
        self._bar.set_description(text if left is None else f"{text}, {format_seconds(left)} left")

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
