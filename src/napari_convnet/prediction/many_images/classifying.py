"""Image files classified: each as a whole, or the objects of the label image beside it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.exchange.result_files import tiff_bytes
from napari_convnet.folders import list_images, pixel_size_um, read_image, read_labels
from napari_convnet.images import CleanImage, check_labels, repeat_grey
from napari_convnet.prediction.classification import (
    classify_images,
    classify_objects,
    object_centres,
)
from napari_convnet.prediction.fitting import check_model_fits
from napari_convnet.prediction.many_images.kinds import Answers, Kind
from napari_convnet.prediction.many_images.results import ClassColumns, ImageResult, rows_of
from napari_convnet.prediction.many_images.segmenting import square_pixel
from napari_convnet.prediction.measuring import measure_objects
from napari_convnet.progress import Progress


class ClassifyingImages(Kind):
    """Writes ``predictions.csv``: one class an image."""

    table, writes_files, batch = "predictions.csv", False, 64

    @property
    def settings(self) -> dict[str, Any]:
        """In how many orientations it looks."""
        return {"classifies": "whole images", "orientations": self.options.orientations}

    @property
    def summary_columns(self) -> tuple[str, ...]:
        """The class and its probability."""
        return ("class", "probability")

    def apply(self, paths: Sequence[Path]) -> Generator[Progress, None, Answers]:
        """Read images and show those that fit to the network together."""
        answers: dict[Path, ImageResult | UserError] = {}
        images: dict[Path, CleanImage] = {}
        for number, path in enumerate(paths, start=1):
            try:
                images[path] = self._read(path)
            except UserError as error:
                answers[path] = error
            yield Progress(done=number, total=len(paths) + 1, text=f"reading {path.name}")
            if self.stop is not None and self.stop.is_set():
                return []
        result = yield from classify_images(
            self.model, list(images.values()).__getitem__, len(images),
            orientations=self.options.orientations, device=self.device,
        )  # fmt: skip
        columns = ("class", *(f"probability_{name}" for name in self.names))
        found = zip(images.items(), result.values, result.probabilities, strict=True)
        for (path, image), value, chances in found:
            name, sure = self.names[value - 1], round(float(chances[value - 1]), 6)
            answers[path] = ImageResult(
                {"class": name, "probability": sure}, columns,
                [[name, *(f"{p:.6f}" for p in chances)]], notes=image.notes,
            )  # fmt: skip
        return [answers[path] for path in paths]

    def _read(self, path: Path) -> CleanImage:
        image = repeat_grey(read_image(path), len(self.model.card.channels))
        check_model_fits(self.model, "classify", image)
        return image


class ClassifyingObjects(Kind):
    """Writes ``STEM_classes.tif``, the objects by class, and ``objects.csv``."""

    @property
    def settings(self) -> dict[str, Any]:
        """In how many orientations it looks."""
        return {"classifies": "objects", "orientations": self.options.orientations}

    @property
    def summary_columns(self) -> tuple[str, ...]:
        """Objects and areas by class, and how sure the network was."""
        classes = ClassColumns(self.names)
        return (*classes.counts, *classes.areas, "mean_probability")

    @cached_property
    def _label_files(self) -> dict[str, Path]:
        return {path.stem: path for path in list_images(self.options.labels)}

    def made_from(self, path: Path) -> Sequence[Path]:
        """Return the image and its labels."""
        return (path, *filter(None, [self._label_files.get(path.stem)]))

    def apply_to(self, path: Path) -> Generator[Progress, None, ImageResult]:
        """Classify the objects of one image and measure them."""
        image, label_file = read_image(path), self._label_files.get(path.stem)
        if label_file is None:
            raise UserError(
                "CN-636",
                f"'{path.name}' has no label image of the same name in '{self.options.labels}'. "
                "Put it there, then apply the model again.",
            )
        labels = check_labels(read_labels(label_file), image.shape, label_file.name)
        present, centres = object_centres(labels)
        found = yield from classify_objects(
            self.model, image, present, centres,
            orientations=self.options.orientations, device=self.device, stop=self.stop,
        )  # fmt: skip
        if len(found.labels) < len(present):  # stopped
            return ImageResult({})
        numbers = np.where(labels > 0, np.searchsorted(present, labels) + 1, 0).astype(np.int32)
        values = np.concatenate([np.zeros(1, np.uint8), found.values.astype(np.uint8)])
        class_map, side = values[numbers], pixel_size_um(path)
        names = [self.names[value - 1] for value in values[1:]]
        measured = yield from measure_objects(
            numbers, names, image, self.model.card.channels, square_pixel(side), stop=self.stop
        )
        chances = {"probability": found.confidence.astype(float)} | {
            f"probability_{name}": found.probabilities[:, k].astype(float)
            for k, name in enumerate(self.names)
        }
        table = {"label": present, "class": measured["class"], **chances}
        table |= {name: column for name, column in measured.items() if name not in table}
        classes = ClassColumns(self.names)
        summary = classes.count(found.values) | classes.measure(class_map, side)
        if len(present):
            summary["mean_probability"] = float(found.confidence.mean(dtype=float))
        files = {f"{path.stem}_classes.tif": tiff_bytes(class_map)}
        return ImageResult(summary, tuple(table), rows_of(table), files, found.notes)
