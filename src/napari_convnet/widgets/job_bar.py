"""The bar of a background job in napari's activity dock."""

from __future__ import annotations

from napari.utils import progress

from napari_convnet.progress import Progress
from napari_convnet.widgets.time_left import TimeLeft


class JobBar:
    """A bar in napari's activity dock, with the time left in its text; lives on the GUI thread."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._bar = progress(total=0, desc=description)
        self._total = 0
        self._time_left = TimeLeft()

    def show(self, event: Progress) -> None:
        """Show how far the job is."""
        if event.total != self._total:
            self._total = self._bar.total = event.total
        self._bar.update(event.done - self._bar.n)
        self._bar.set_description(self._time_left.describe(event, self._description))

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
