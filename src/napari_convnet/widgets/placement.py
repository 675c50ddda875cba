"""Where a layer lies in the world: what a result copies so that it lands on its image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Layer


@dataclass(frozen=True, eq=False)
class Placement:
    """The way from a layer's data of n dimensions to the world.

    Parameters
    ----------
    scale, translate
        Shape ``(n,)``.
    rotate, shear
        Shape ``(n, n)``; shear is triangular with ones on the diagonal.
    affine
        Shape ``(n + 1, n + 1)``, applied after the others.
    units, axis_labels
        One for each dimension.
    """

    scale: np.ndarray
    translate: np.ndarray
    rotate: np.ndarray
    shear: np.ndarray
    affine: np.ndarray
    units: tuple[Any, ...]
    axis_labels: tuple[str, ...]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.scale)

    def as_arguments(self) -> dict[str, Any]:
        """Return keyword arguments for a new layer; its attributes have the same names."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "rotate": self.rotate,
            "shear": self.shear,
            "affine": self.affine,
            "units": self.units,
            "axis_labels": self.axis_labels,
        }

    def keep(self, axes: Sequence[int]) -> Placement:
        """Return the placement of a result that has only these dimensions of its source, in order.

        It is exact as long as no rotation, shear or affine mixes a kept dimension with another.
        """
        axes = [axis % self.ndim for axis in axes]
        if axes != sorted(set(axes)):
            raise ValueError(f"axes {axes} must ascend")
        block = np.ix_(axes, axes)
        homogeneous = [*axes, self.ndim]
        return Placement(
            scale=self.scale[axes],
            translate=self.translate[axes],
            rotate=self.rotate[block],
            shear=self.shear[block],
            affine=self.affine[np.ix_(homogeneous, homogeneous)],
            units=tuple(self.units[axis] for axis in axes),
            axis_labels=tuple(self.axis_labels[axis] for axis in axes),
        )

    def moved(self, origin: Sequence[int]) -> Placement:
        """Return the placement of a part of the data that begins at the index ``origin``."""
        linear = self.rotate @ self.shear @ np.diag(self.scale)
        return replace(self, translate=self.translate + linear @ np.asarray(origin, float))

    def reordered(self, axes: Sequence[int]) -> Placement:
        """Return the placement of the data with its dimensions in another order.

        napari wants a triangular shear, which another order may not leave it; it then goes into the affine.
        """
        order, homogeneous = list(axes), [*axes, self.ndim]
        if order == sorted(order):
            return self
        unsheared = np.eye(self.ndim + 1)
        unsheared[:-1, :-1] = self.rotate @ self.shear @ np.linalg.inv(self.rotate)
        translate = np.linalg.solve(unsheared[:-1, :-1], self.translate)
        return Placement(
            scale=self.scale[order],
            translate=translate[order],
            rotate=self.rotate[np.ix_(order, order)],
            shear=np.eye(self.ndim),
            affine=(self.affine @ unsheared)[np.ix_(homogeneous, homogeneous)],
            units=tuple(self.units[axis] for axis in order),
            axis_labels=tuple(self.axis_labels[axis] for axis in order),
        )

    def with_axis(self) -> Placement:
        """Return the placement of data with one more dimension, the last, in pixels."""
        blocks = {
            name: np.block(
                [[getattr(self, name), np.zeros((self.ndim, 1))], [np.zeros((1, self.ndim)), 1]]
            )
            for name in ("rotate", "shear")
        }
        affine = np.insert(np.insert(self.affine, self.ndim, 0, axis=0), self.ndim, 0, axis=1)
        affine[self.ndim, self.ndim] = 1
        return Placement(
            scale=np.append(self.scale, 1),
            translate=np.append(self.translate, 0),
            affine=affine,
            units=(*self.units, "pixel"),
            axis_labels=(*self.axis_labels, ""),
            **blocks,
        )

    def labelled(self, axis_labels: Sequence[str]) -> Placement:
        """Return the placement with other labels."""
        return replace(self, axis_labels=tuple(axis_labels))

    def shrunk(self, factors: Sequence[float]) -> Placement:
        """Return the placement of data of which each pixel covers ``factors`` pixels of this along each axis."""
        factors = np.asarray(factors, float)
        return replace(self.moved((factors - 1) / 2), scale=self.scale * factors)

    def last(self, n: int) -> Placement:
        """Keep the last ``n`` dimensions, such as (Y, X) of (C, Y, X)."""
        return self.keep(range(self.ndim - n, self.ndim))


def placement_of(layer: Layer) -> Placement:
    """Return where a layer lies; the colour axis of an RGB image is none of its dimensions."""
    return Placement(
        scale=np.array(layer.scale, dtype=float),
        translate=np.array(layer.translate, dtype=float),
        rotate=np.array(layer.rotate, dtype=float),
        shear=_shear_matrix(np.asarray(layer.shear, dtype=float), layer.ndim),
        affine=np.array(layer.affine.affine_matrix, dtype=float),
        units=tuple(layer.units),
        axis_labels=tuple(layer.axis_labels),
    )


def lie_alike(layer: Layer, other: Layer) -> bool:
    """Return whether two layers of the same shape cover each other pixel by pixel in the world."""
    if layer.ndim != other.ndim:
        return True  # their shapes tell
    corners = np.array([[0.0] * layer.ndim, *(100.0 * np.eye(layer.ndim))])
    size = float(np.abs(layer.scale).min())
    return all(
        np.allclose(layer.data_to_world(c), other.data_to_world(c), rtol=1e-6, atol=0.01 * size)
        for c in corners
    )


def data_position(layer: Layer, world_position: Sequence[float], n: int = 2) -> tuple[float, ...]:
    """Return the last ``n`` data coordinates (pixels of level 0) of a position in the world.

    ``world_position`` may have more dimensions than the layer, as the viewer's cursor often does.
    """
    return tuple(float(x) for x in layer.world_to_data(world_position)[-n:])


def voxel_at(layer: Layer, world_position: Sequence[float]) -> tuple[int, ...] | None:
    """Return the index of the voxel at a position in the world, or None outside the layer."""
    index = tuple(round(x) for x in data_position(layer, world_position, layer.ndim))
    shape = (layer.data[0] if getattr(layer, "multiscale", False) else layer.data).shape
    inside = all(0 <= i < size for i, size in zip(index, shape[: layer.ndim], strict=True))
    return index if inside else None


def _shear_matrix(shear: np.ndarray, ndim: int) -> np.ndarray:
    if shear.ndim == 2:
        return shear.copy()
    matrix = np.eye(ndim)
    matrix[np.triu_indices(ndim, 1)] = shear  # napari's short form: the upper triangle, row by row
    return matrix
