"""The session's classes: which there are, which one is annotated, and edits that can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_convnet.classes import ClassInfo, make_classes, palette_colour
from napari_convnet.errors import UserError
from napari_convnet.widgets.background_edits import BackgroundEdits
from napari_convnet.widgets.history import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_convnet.project import ClassEdit

#: What is found may all be of one class; elsewhere classes are to be told apart.
_FEWEST_CLASSES = {"classify": 2, "segment": 2, "locate": 1}


class ClassEditing(BackgroundEdits):
    """The part of `Session` that knows classes; edits go to the project first, then into the history."""

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Classes of the present task."""
        return self._classes[self.task]

    @property
    def current_class(self) -> int:
        """Value of the class that annotations get, k = k-th class."""
        return min(self._current_class[self.task], len(self.classes))

    def set_current_class(self, value: int) -> None:
        """Choose the class that annotations get; values without a class are ignored."""
        if 1 <= value <= len(self.classes) and value != self._current_class[self.task]:
            self._current_class[self.task] = value
            self.classes_changed.emit()

    def class_counts(self, *, with_test: bool = True) -> list[int]:
        """Return how many annotations (objects and patches, or pixels) each class has in the project.

        Without ``with_test``, those on images of the test set do not count.
        """
        counts = [0] * len(self.classes)
        if self.project is not None:
            for value, count in self.project.class_counts(self.task, with_test=with_test).items():
                if 1 <= value <= len(counts):
                    counts[value - 1] = count
        return counts

    # Edits of names and colours -----------------------------------------------------------------

    def set_classes(self, classes: tuple[ClassInfo, ...]) -> None:
        """Rename or recolour classes, or add some at the end.

        Raises
        ------
        UserError
            CN-513, CN-514 for a name given twice or too many classes; nothing is changed then.
        """
        make_classes(info.name for info in classes)
        task, before = self.task, self.classes
        self.history.refuse_while_busy()
        if classes == before:
            return
        self.history.do(
            Change(
                lambda: self._put_classes(task, classes),
                lambda: self._put_classes(task, before),
                "change of the classes",
            )
        )

    def _put_classes(self, task: str, classes: tuple[ClassInfo, ...]) -> None:
        if self.project is not None:
            self.project.set_classes(task, classes)
        self._classes[task] = classes
        self.classes_changed.emit()

    def add_class(self, name: str = "") -> None:
        """Add a class (by default with the next free name) in the next colour, and choose it."""
        names = {info.name for info in self.classes}
        number = next(
            n for n in range(len(names) + 1, 2 * len(names) + 2) if f"class {n}" not in names
        )
        added = ClassInfo(name or f"class {number}", palette_colour(len(self.classes)))
        self.set_classes((*self.classes, added))
        self.set_current_class(len(self.classes))

    # Edits that move annotations -----------------------------------------------------------------

    def delete_class(self, value: int, give_to: int = 0) -> None:
        """Delete a class; its annotations go with it, or to the class ``give_to``.

        Raises
        ------
        UserError
            CN-515 when fewer than two would be left to tell apart.
        """
        if len(self.classes) <= (fewest := _FEWEST_CLASSES[self.task]):
            least = ("One class is the least", "Two classes are the least that can be told apart")
            raise UserError("CN-515", f"{least[fewest - 1]}. Rename one instead.")
        name, task = self.classes[value - 1].name, self.task
        project = self.ensure_project()
        self._edit(lambda: project.delete_class(task, value, give_to), f"deletion of '{name}'")

    def move_class(self, value: int, new_value: int) -> None:
        """Give a class another place in the list; its annotations stay its own."""
        if not 1 <= new_value <= len(self.classes) or new_value == value:
            return
        name, task = self.classes[value - 1].name, self.task
        project = self.ensure_project()
        self._edit(
            lambda: project.move_class(task, value, new_value), f"move of '{name}'", new_value
        )

    def _edit(self, carry_out: Callable[[], ClassEdit], text: str, choose: int = 0) -> None:
        """Carry out an edit, for the history, then choose a class."""
        edits: list[ClassEdit] = []
        task, project = self.task, self.project

        def done(edit: ClassEdit) -> None:
            edits.append(edit)
            self._classes[task] = edit.after
            if choose and task == self.task:
                self._current_class[task] = choose

        def undone(_value: None) -> None:
            self._classes[task] = edits.pop().before

        def do() -> None:
            self.carry_out(carry_out, done, text)

        def undo() -> None:
            self.carry_out(lambda: project.undo(edits[-1]), undone, f"undo of {text}")

        self.history.do(Change(do, undo, text))

    def read_classes_again(self, _value: object = None) -> None:
        """Take the classes of the project, after a change from outside; `carry_out` then shows them."""
        for task, classes in self._classes.items():
            self._classes[task] = self.project.classes(task) or classes

    def show_annotations_again(self) -> None:
        """Read classes and annotations anew, after a change of the project that no tool made."""
        self.finish_edit()
        self.carry_out(lambda: None, self.read_classes_again, "showing the annotations")
