"""Image files segmented: a class map, objects and their table for each."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.exchange.result_files import tiff_bytes
from napari_convnet.folders import pixel_size_um, read_image, read_stack
from napari_convnet.prediction.fitting import sees_depth
from napari_convnet.prediction.many_images.kinds import Kind
from napari_convnet.prediction.many_images.results import ClassColumns, ImageResult, rows_of
from napari_convnet.prediction.measuring import PixelSize, measure_objects
from napari_convnet.prediction.measuring_stacks import measure_stack_objects
from napari_convnet.prediction.segmentation import Segmentation, segment_image
from napari_convnet.prediction.stacks import StackSegmentation, segment_stack
from napari_convnet.progress import Progress


class Segmenting(Kind):
    """Writes ``STEM_classes.tif``, ``STEM_objects.tif`` and ``objects.csv``."""

    @property
    def settings(self) -> dict[str, Any]:
        """How the mask becomes objects."""
        return asdict(self.options.objects)

    @property
    def _classes(self) -> ClassColumns:
        return ClassColumns(self.names, self.model.card.background_value)

    @property
    def summary_columns(self) -> tuple[str, ...]:
        """Objects and areas by class."""
        return (*self._classes.counts, *self._classes.areas)

    def apply_to(self, path: Path) -> Generator[Progress, None, ImageResult]:
        """Segment one image, or one stack, and measure its objects."""
        if sees_depth(self.model):
            return (yield from self._apply_to_stack(path))
        image, side = read_image(path), pixel_size_um(path)
        found = yield from segment_image(
            self.model, image, objects=self.options.objects, device=self.device, stop=self.stop
        )
        names = [self.names[value - 1] for value in found.object_values[1:]]
        table = yield from measure_objects(
            found.objects, names, image, self.model.card.channels, square_pixel(side), stop=self.stop
        )  # fmt: skip
        return self._result(path, found, table, side)

    def _apply_to_stack(self, path: Path) -> Generator[Progress, None, ImageResult]:
        """Segment a stack in three dimensions; areas count voxels."""
        planes = read_stack(path)
        found = yield from segment_stack(
            self.model, planes, (len(planes), *planes[0].shape), linked_axis=0, objects=self.options.objects,
            device=self.device, stop=self.stop,
        )  # fmt: skip
        names = [self.names[value - 1] for value in found.object_values[1:]]
        table = measure_stack_objects(found.objects, names, planes, self.model.card.channels)
        return self._result(path, found, table, side_um=None)

    def _result(
        self,
        path: Path,
        found: Segmentation | StackSegmentation,
        table: dict[str, np.ndarray],
        side_um: float | None,
    ) -> ImageResult:
        classes = self._classes
        return ImageResult(
            classes.count(found.object_values[1:]) | classes.measure(found.classes, side_um),
            tuple(table),
            rows_of(table),
            {
                f"{path.stem}_classes.tif": tiff_bytes(found.classes),
                f"{path.stem}_objects.tif": tiff_bytes(found.objects.astype(np.uint32)),
            },
            found.notes,
        )


def square_pixel(side_um: float | None) -> PixelSize:
    """Return the size of a pixel of so many micrometres; None: a pixel is the unit."""
    return PixelSize() if side_um is None else PixelSize(side_um, side_um, "micrometer")
