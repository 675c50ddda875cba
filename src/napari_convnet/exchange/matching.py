"""Which image and which class of the project a line of a file means."""

from __future__ import annotations

import math
import ntpath
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_convnet.classes import ClassInfo, make_classes, palette_colour
from napari_convnet.errors import UserError
from napari_convnet.exchange.tables import shown
from napari_convnet.project import ImageRecord, Project


@dataclass(frozen=True)
class ImportOptions:
    """What a file does not say.

    Parameters
    ----------
    class_name
        Class of rows that name none.
    size
        Side of patches in pixels where only a point is given.
    add_classes
        Whether classes that the project lacks are added to it; else they are refused.
    image
        Name or source of the image that a table of one image belongs to; else found by file name.
    task
        Whose class table is meant, ``"classify"`` or ``"segment"``; ``"locate"`` reads points as positions.
    axes
        One letter for each axis of the images that are added, such as ``"ZYX"`` or ``"CYX"``.
    converts_decimals
        Whether label images of decimal numbers (1.0, 2.0) are taken as the whole numbers that they hold.
    """

    class_name: str = ""
    size: int = 48
    add_classes: bool = False
    image: str = ""
    task: str = "classify"
    axes: str = ""
    converts_decimals: bool = False


def leading_axes(image: ImageRecord) -> tuple[int, ...]:
    """Return the lengths of the axes before Y and X, without channels."""
    return plane_and_shape(image)[0]


def plane_shape(image: ImageRecord) -> tuple[int, int]:
    """Return height and width of an image in pixels."""
    return plane_and_shape(image)[1]


def plane_and_shape(image: ImageRecord) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Return the lengths of an image's axes before Y and X without channels, and (height, width).

    Raises
    ------
    UserError
        CN-660 for an image whose axes do not end in Y and X.
    """
    sizes = [
        (letter, n) for letter, n in zip(image.axes, image.shape, strict=False) if letter != "C"
    ]
    if len(image.axes) != len(image.shape) or [letter for letter, _ in sizes[-2:]] != ["Y", "X"]:
        raise UserError(
            "CN-660",
            f"Image '{shown(image.name)}' has axes {shown(image.axes)} and shape {image.shape}; "
            "expected axes that end in Y and X. Nothing was changed.",
        )
    lengths = [n for _, n in sizes]
    return tuple(lengths[:-2]), (lengths[-2], lengths[-1])


class ImageFinder:
    """Finds an image of a project by where it is, by its file name or by its name."""

    def __init__(self, project: Project) -> None:
        self._images = project.images()
        self._cache: dict[tuple[str, str], ImageRecord] = {}

    def find(self, where: str, source: str = "", name: str = "") -> ImageRecord:
        """Return the one image that is meant; ``where`` begins the message when there is none.

        Raises
        ------
        UserError
            CN-654 if there is no such image or more than one.
        """
        key = (source, name)
        if key not in self._cache:
            self._cache[key] = self._find(where, source, name)
        return self._cache[key]

    def find_for_file(self, path: Path, options: ImportOptions, *endings: str) -> ImageRecord:
        """Return the image that a file of one image belongs to.

        Parameters
        ----------
        endings
            What may follow the image's name in the file's stem, such as ``"_points"``.
        """
        where = f"'{shown(path.name)}'"
        if options.image:
            return self.find(where, options.image, options.image)
        if len(self._images) == 1:
            return self._images[0]
        stem = path.stem
        for ending in endings:
            if stem.endswith(ending) and stem != ending:
                return self.find(where, "", stem[: -len(ending)])
        return self.find(where, "", stem)

    def _find(self, where: str, source: str, name: str) -> ImageRecord:
        tries = (
            lambda image: source and image.source == source,
            lambda image: name and image.name == name,
            lambda image: name and base_name(name) in (base_name(image.source), image.name),
            lambda image: source and base_name(source) in (base_name(image.source), image.name),
            lambda image: name and stem_of(name) in (stem_of(image.source), stem_of(image.name)),
        )
        for fits in tries:
            found = [image for image in self._images if fits(image)]
            if len(found) == 1:
                return found[0]
            if found:
                raise UserError(
                    "CN-654",
                    f"{where}: {len(found)} images of the project are called "
                    f"'{shown(name or source)}'. Nothing was imported. Give the whole path.",
                )
        raise UserError(
            "CN-654",
            f"{where}: image '{shown(name or base_name(source))}' is not in the project. "
            "Nothing was imported. Add the image first, then import again.",
            f"source: {source}\nname: {name}",
        )


def base_name(path: str) -> str:
    """Return the last part of a path of any operating system."""
    return ntpath.basename(posixpath.basename(path)) if path else ""


def stem_of(path: str) -> str:
    """Return the last part of a path without its file type; empty for an empty path."""
    name = base_name(path)
    return Path(name).stem if name else ""


class ClassFinder:
    """Gives class values for names, and adds classes where that is wanted."""

    def __init__(self, project: Project, task: str, options: ImportOptions) -> None:
        self.task = task
        self._before = project.classes(task)
        self._options = options
        self._values = {info.name: k for k, info in enumerate(self._before, start=1)}
        self._added: list[ClassInfo] = []

    def find(self, where: str, name: str, colour: str = "") -> int:
        """Return the value of a class; an empty name stands for the class of the options.

        Raises
        ------
        UserError
            CN-653 if the project has no such class and none may be added.
        """
        name = name.strip() or self._options.class_name.strip()
        if not name:
            raise UserError(
                "CN-653",
                f"{where}: no class is given. Nothing was imported. "
                "Say which class these are, or add a column 'class'.",
            )
        if name not in self._values:
            if not self._options.add_classes:
                known = ", ".join(self._values) or "none"
                raise UserError(
                    "CN-653",
                    f"{where}: the project has no class '{shown(name)}' (it has "
                    f"{shown(known, 80)}). Nothing was imported. "
                    "Add the class, or let the import add what is missing.",
                )
            value = len(self._values) + 1
            try:
                self._added.append(ClassInfo(name, colour or palette_colour(value - 1)))
            except UserError as error:
                raise UserError(
                    "CN-653", f"{where}: {error.message} Nothing was imported.", name
                ) from error
            self._values[name] = value
        return self._values[name]

    def changed(self) -> dict[str, tuple[ClassInfo, ...]]:
        """Return the class table after the import by task; empty if it stays.

        Raises
        ------
        UserError
            CN-514 for more than 255 classes.
        """
        if not self._added:
            return {}
        make_classes(self._values)
        return {self.task: (*self._before, *self._added)}


def check_place(
    where: str,
    image: ImageRecord,
    plane: Sequence[int],
    centre: tuple[float, float],
    size: float = 0.0,
) -> None:
    """Refuse a plane that the image does not have, and a centre outside of it.

    Parameters
    ----------
    centre
        (y, x) in pixels; pixel 0 reaches from -0.5 to 0.5.
    size
        Side of a patch, which may be as large as the image's longer side twice.

    Raises
    ------
    UserError
        CN-652.
    """
    leading, shape = plane_and_shape(image)
    if len(plane) != len(leading) or any(
        not 0 <= index < length for index, length in zip(plane, leading, strict=True)
    ):
        raise UserError(
            "CN-652",
            f"{where}: plane {tuple(plane)} is not in image '{shown(image.name)}' with planes "
            f"{leading or 'none'}. Nothing was imported.",
        )
    inside = all(
        math.isfinite(c) and -0.5 <= c <= n - 0.5 for c, n in zip(centre, shape, strict=True)
    )
    if not inside or not 0 <= size <= 2 * max(shape):
        raise UserError(
            "CN-652",
            f"{where}: centre ({centre[0]:g}, {centre[1]:g})"
            f"{f' with size {size:g}' if size else ''} does not fit image '{shown(image.name)}' "
            f"of {shape[0]} x {shape[1]} pixels. Nothing was imported.",
        )


class Target:
    """The project that files are matched with; several files of one import share it.

    Parameters
    ----------
    project, options
        Where to, and what the files do not say.
    """

    def __init__(self, project: Project, options: ImportOptions) -> None:
        self.project = project
        self.options = options
        self.images = ImageFinder(project)
        self._classes: dict[str, ClassFinder] = {}

    def classes(self, task: str) -> ClassFinder:
        """Return what finds the classes of a task."""
        return self._classes.setdefault(task, ClassFinder(self.project, task, self.options))

    def changed_classes(self) -> dict[str, tuple[ClassInfo, ...]]:
        """Return the class tables after the import, of the tasks that get new classes."""
        changed: dict[str, tuple[ClassInfo, ...]] = {}
        for finder in self._classes.values():
            changed.update(finder.changed())
        return changed
