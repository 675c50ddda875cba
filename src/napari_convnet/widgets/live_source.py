"""Where live training looks: strokes, classes and view of a session, handed from the GUI thread to its own."""

from __future__ import annotations

from collections.abc import Hashable

from napari_convnet.classes import ClassInfo
from napari_convnet.live import InView, LiveStrokes
from napari_convnet.widgets.project_strokes import KnownStrokes, StrokeTask, openers

#: Images of these parts of the project teach nothing.
_HELD_OUT = ("validation", "test")


class LiveDesk:
    """The strokes and the view of now; the GUI thread puts them in, the worker takes them out.

    Each is one attribute that is replaced whole, so neither thread waits for the other.

    Parameters
    ----------
    task
        What is open and shown.
    classes
        Of the strokes.
    """

    def __init__(self, task: StrokeTask, classes: tuple[ClassInfo, ...]) -> None:
        self._now = task, classes
        self._strokes = KnownStrokes()
        #: Numbers of the images whose strokes were ever learned: none of them can be tested on.
        self.learned: set[int] = set()
        self.view: InView | None = None
        self.show(task)

    @property
    def version(self) -> Hashable:
        """What differs once strokes or classes may have changed."""
        task, classes = self._now
        opened = tuple((each, task.arrays(each)) for each in sorted(task.opened))
        return task.n_changes, opened, classes

    def put(self, task: StrokeTask, classes: tuple[ClassInfo, ...]) -> None:
        """Tell of other strokes, classes or images."""
        self._now = task, classes

    def show(self, task: StrokeTask | None) -> None:
        """Tell what is looked at; the same as before is no news."""
        if task is None:
            self.view = None
            return
        view = self.view
        if view is None or (view.key, view.window) != (task.shown, task.window):
            self.view = InView(task.shown, openers(task, ())[task.shown], task.window)

    def read(self) -> LiveStrokes:
        """Return the strokes of now but those of held-out images; in the worker's thread."""
        task, classes = self._now
        planes = [
            found for found in self._strokes.planes(task) if found.record.split not in _HELD_OUT
        ]
        self.learned |= {found.record.id for found in planes}
        painted = tuple(part for found in planes for part in found.parts)
        lasting = {found.key: (found.record.id, found.plane) for found in planes}
        return LiveStrokes(openers(task, planes), painted, classes, lasting)
