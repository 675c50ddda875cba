"""Classes of label images that are given on the command line."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_convnet.classes import MAX_CLASSES, ClassInfo, make_classes
from napari_convnet.errors import UserError


def classes_of_labels(
    labels: Iterable[np.ndarray], names: str | None, instances: bool = False
) -> tuple[ClassInfo, ...]:
    """Return the classes of label images: of these names, or else called by their numbers.

    Parameters
    ----------
    labels
        Class values, 0 = not annotated.
    names
        Separated by commas.
    instances
        Whether labels were whole objects, so that there are two classes.

    Raises
    ------
    UserError
        CN-506 for other than two names of whole objects, CN-514 for more classes than there can be.
    """
    if names:
        classes = make_classes(name.strip() for name in names.split(","))
        if instances and len(classes) != 2:
            raise UserError("CN-506", "--instances has two classes: --classes BACKGROUND,OBJECT.")
        return classes
    if instances:
        return make_classes(("background", "object"))
    largest = max(int(part.max(initial=0)) for part in labels)
    if largest > MAX_CLASSES:
        raise UserError(
            "CN-514",
            f"The labels go up to {largest}, but there can be {MAX_CLASSES} classes. "
            "If every object has a label of its own, add --instances.",
        )
    return make_classes(f"class {value}" for value in range(1, largest + 1))
