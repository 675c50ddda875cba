"""Training sets of the locate task with any number of positions an image: heat maps of their surroundings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.errors import UserError
from napari_convnet.images import Normalisation, NormalisationMode
from napari_convnet.samples.annotated_positions import (
    AnnotatedPositions,
    check_points,
    points_inside,
    split_positions,
)
from napari_convnet.samples.areas import Area, Areas
from napari_convnet.samples.augmentation import AugmentationSettings, draw_looks
from napari_convnet.samples.checks import check_channels, default_channels
from napari_convnet.samples.heat_map_patches import Batch, LookMaker, cut_heat_maps
from napari_convnet.samples.kinds_of_sets import AreaSet

#: Share of the patches that are drawn around a point; the others may lie anywhere, for what is no point.
_AROUND_POINTS = 0.75
#: Changes of contrast and brightness, in standard deviations.
_INTENSITY = 0.3

#: (image index, rows, columns) of a held-out window, and what is read around it.
Window = tuple[int, tuple[slice, slice], tuple[slice, slice]]


@dataclass(frozen=True)
class HeatMapSet(AreaSet):
    """Images with positions, split into areas for training and areas that are held out.

    Parameters
    ----------
    images
        One ``(C, Y, X)`` float32 array an image, normalised.
    points, values
        ``(N, 2)`` float64 positions in pixels and ``(N,)`` int64 class values of each image.
    classes
        Names and colours.
    areas
        Where training looks and what is held out; no patch crosses the border of its area.
    channels
        Names of the channels.
    normalisation
        What was applied to the images.
    patch_size
        Side in pixels of the training patches.
    sigma
        Standard deviation, in pixels, of the spot that stands for a point.
    tolerance
        Distance in pixels up to which a position counts as found.
    """

    images: tuple[np.ndarray, ...]
    points: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]
    classes: tuple[ClassInfo, ...]
    areas: Areas
    channels: tuple[str, ...]
    normalisation: Normalisation
    patch_size: int
    sigma: float
    tolerance: float
    task: str = "locate"
    mode: str = "heat_map"

    @classmethod
    def from_images(
        cls,
        annotated: Sequence[AnnotatedPositions],
        classes: tuple[ClassInfo, ...] | None = None,
        *,
        patch_size: int = 64,
        sigma: float = 1.5,
        tolerance: float | None = None,
        validation_fraction: float = 0.2,
        validation: Sequence[AnnotatedPositions] = (),
        groups: Sequence | None = None,
        channels: tuple[str, ...] | None = None,
        normalisation: NormalisationMode = "per_image",
        seed: int = 0,
    ) -> HeatMapSet:
        """Take images with positions. What is not marked is background, so an image must be marked completely.

        An image (a plane, a frame) with at least one point is taken as completely marked, or within its
        ``region`` if it has one: every place without a point teaches that nothing is there. An image without
        any point is taken as not annotated and left out, unless it has a ``region``.

        Held out are the images of ``validation`` if given; else, of films, whole films or the last frames of
        each (see `split_films`); else whole images where there are several; else a region of each image with
        a gap of one patch.

        Parameters
        ----------
        tolerance
            Distance in pixels up to which a position counts as found; by default twice ``sigma``.

        Raises
        ------
        UserError
            CN-621 without points, CN-623 when images differ in channels, CN-624 for a class that does not
            exist, CN-644 for a point outside of its image.
        """
        classes = classes or make_classes(("position",))
        annotated, validation = (
            [part for part in parts if len(part.centres) or part.region is not None]
            for parts in (annotated, validation)
        )
        parts = [*annotated, *validation]
        if not any(len(part.centres) for part in annotated):
            raise UserError(
                "CN-621", "Nothing is annotated yet. Mark every position in an image, then train."
            )
        check_channels([part.image for part in parts])
        points, values = zip(*(check_points(part, len(classes)) for part in parts), strict=True)
        areas = split_positions(
            parts, len(annotated), patch_size, validation_fraction, groups, seed
        )
        pixels = [part.image.pixels for part in parts]
        seen = (pixels[i][:, rows, columns] for i, rows, columns in areas.training)
        fitted = Normalisation.fit(normalisation, seen)
        return cls(
            tuple(fitted.apply(image) for image in pixels), points, values, classes, areas,
            channels or default_channels(parts[0].image), fitted, patch_size, sigma,
            2 * sigma if tolerance is None else tolerance,
        )  # fmt: skip

    @property
    def description(self) -> str:
        """What is held out, in plain words."""
        return f"{self.areas.description} ({self.n_validation} positions)"

    @property
    def warning(self) -> str:
        """Why the score may not mean much, or ""."""
        if self.areas.validation and self.n_validation < 20:
            return f"Only {self.n_validation} held-out positions: the score is a rough guess."
        return self.areas.warning

    @property
    def n_validation(self) -> int:
        """Number of positions that are held out."""
        return sum(len(self._inside(*area)) for area in self.areas.validation)

    def class_counts(self) -> np.ndarray:
        """Return the number of training positions of each class."""
        found = [self.values[area[0]][self._inside(*area)] for area in self.areas.training]
        return np.bincount(np.concatenate(found), minlength=len(self.classes) + 1)[1:]

    def _n_spots(self) -> int:
        half = max(1, self.patch_size // 2)
        return sum(
            len(np.unique(self.points[area[0]][self._inside(*area)] // half, axis=0))
            for area in self.areas.training
        )

    def _inside(self, index: int, rows: slice, columns: slice) -> np.ndarray:
        """Return the indices of an image's points whose pixel lies in a window."""
        return np.flatnonzero(points_inside(self.points[index], rows, columns))

    @cached_property
    def _places(self) -> np.ndarray:
        """(area, row, column, class value) of each training point, ``(N, 4)``."""
        found = []
        for number, (index, *window) in enumerate(self.areas.training):
            inside = self._inside(index, *window)
            points, values = self.points[index][inside], self.values[index][inside]
            found.append(np.column_stack([np.full(len(inside), number), points, values]))
        return np.concatenate(found)

    def training_batches(
        self,
        batch_size: int,
        random: torch.Generator,
        *,
        augment: AugmentationSettings | None,
        shuffle: str = "every_epoch",
        balanced: bool = True,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield patches ``(N, C, Y, X)`` and their heat maps ``(N, K, Y, X)``, -1 where nothing is known.

        Three of four patches show a point, of every class equally often; the others are cut anywhere.
        ``shuffle`` and ``balanced`` are those of `ClassificationSet.training_batches` and change nothing here.
        """
        looks = partial(draw_looks, random=random, settings=augment, intensity=_INTENSITY)
        for _ in range(self.batches_per_epoch(batch_size)):
            windows = [self._draw_window(random) for _ in range(batch_size)]
            yield self._cut(windows, self.patch_size, looks if augment else None)

    def _draw_window(self, random: torch.Generator) -> Area:
        """Draw where a patch is cut; it stays inside its area, and what the area lacks is padded."""
        places = self._places
        if float(torch.rand((), generator=random)) < _AROUND_POINTS:
            present = np.unique(places[:, 3])
            wanted = present[_draw(len(present), random)]
            chosen = np.flatnonzero(places[:, 3] == wanted)
            number, row, column = places[chosen[_draw(len(chosen), random)], :3]
        else:
            sizes = np.cumsum(
                [(r.stop - r.start) * (c.stop - c.start) for _, r, c in self.areas.training]
            )
            number = int(np.searchsorted(sizes, _draw(int(sizes[-1]), random), side="right"))
            area = self.areas.training[number]
            row, column = (span.start + _draw(span.stop - span.start, random) for span in area[1:])
        index, *area = self.areas.training[int(number)]
        window = []
        for position, span in zip((row, column), area, strict=True):
            start = round(float(position)) - _draw(self.patch_size, random)
            start = min(max(start, span.start), max(span.start, span.stop - self.patch_size))
            window.append(slice(start, min(start + self.patch_size, span.stop)))
        return index, window[0], window[1]

    def _cut(self, windows: Sequence[Area], size: int, looks: LookMaker | None = None) -> Batch:
        return cut_heat_maps(
            windows, size, self.images, self.points, self.values,
            n_classes=len(self.classes), sigma=self.sigma, make_looks=looks,
        )  # fmt: skip

    def validation_windows(self) -> Iterator[Window]:
        """Yield (image index, window, what is read around it); windows cover the held-out areas once."""
        size, margin = 2 * self.patch_size, self.patch_size // 2
        for index, *area in self.areas.validation:
            starts = [range(span.start, span.stop, size) for span in area]
            for top in starts[0]:
                for left in starts[1]:
                    window, read = [], []
                    for start, span in zip((top, left), area, strict=True):
                        stop = min(start + size, span.stop)
                        window.append(slice(start, stop))
                        read.append(
                            slice(max(start - margin, span.start), min(stop + margin, span.stop))
                        )
                    yield index, (window[0], window[1]), (read[0], read[1])

    def validation_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the held-out areas window by window, in the order of `validation_windows`.

        Each window is read with half a patch around it, as far as the held-out area goes; what is around
        it is -1 in the heat maps ``(N, K, Y, X)``.
        """
        step = max(1, batch_size // 9)  # these patches have nine times the pixels
        windows = list(self.validation_windows())
        for start in range(0, len(windows), step):
            chosen = windows[start : start + step]
            size = max(span.stop - span.start for _, _, read in chosen for span in read)
            inputs, maps = self._cut([(index, *read) for index, _, read in chosen], size)
            for number, (_, window, read) in enumerate(chosen):
                outside = torch.ones(size, size, dtype=torch.bool)
                outside[
                    tuple(
                        slice(inner.start - outer.start, inner.stop - outer.start)
                        for inner, outer in zip(window, read, strict=True)
                    )
                ] = False
                maps[number, :, outside] = -1
            yield inputs, maps

    def sample_input(self) -> np.ndarray:
        """Return one real training patch ``(C, Y, X)`` float32, normalised."""
        window = self._draw_window(torch.Generator().manual_seed(0))
        return self._cut([window], self.patch_size)[0][0].numpy().copy()


def _draw(n: int, random: torch.Generator) -> int:
    """Draw a whole number from 0 to n - 1."""
    return int(torch.randint(n, (), generator=random))
