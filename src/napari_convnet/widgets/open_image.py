"""An image of the project whose layers are in the viewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_convnet.project import ObjectAnnotation
from napari_convnet.widgets.object_index import ObjectIndex
from napari_convnet.widgets.source import Source


@dataclass(frozen=True, eq=False)
class OpenImage:
    """An image of the project whose layers are in the viewer.

    Parameters
    ----------
    image_id
        The project's id of the image.
    source
        Its layers.
    labels_name
        Name under which the project keeps annotations of its label layer, or "".
    objects
        Where each object of the label layer is, or None without one.
    cells
        The array that was searched for objects, or None.
    """

    image_id: int
    source: Source
    labels_name: str
    objects: ObjectIndex | None
    cells: Any = None

    def shows(self, cells: Any) -> bool:
        """Return whether the label layer still holds the array that was searched."""
        return self.cells is cells

    def has_cell(self, annotation: ObjectAnnotation) -> bool:
        """Return whether an annotated cell is still there: the same label at the same place."""
        if self.objects is None or annotation.label not in self.objects:
            return False
        centre = self.objects.centre(annotation.label)[-2:]
        return max(abs(a - b) for a, b in zip(centre, annotation.centre, strict=True)) <= 1
