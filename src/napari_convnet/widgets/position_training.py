"""Positions as a training set, in the worker, and what is said of how well they are located."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage
from napari_convnet.widgets.layers import short_unit
from napari_convnet.widgets.training_data import AnnotatedPlane

if TYPE_CHECKING:
    from napari_convnet.model_file import Model, ModelCard
    from napari_convnet.samples import HeatMapSet, PositionSet

#: Side in pixels of the patches that maps are learned from, unless the person says otherwise.
_PATCH_SIZE = 64


def position_set(
    planes: Sequence[AnnotatedPlane],
    images: Sequence[CleanImage],
    classes: tuple[ClassInfo, ...],
    mode: str,
    *,
    patch_size: int,
    validation_fraction: float,
    seed: int,
    channels: tuple[str, ...] | None = None,
) -> PositionSet | HeatMapSet:
    """Make a training set of marked positions.

    Parameters
    ----------
    planes, images
        What is marked, and the pixels of each plane.
    mode
        ``"patch"`` for one position in each frame, ``"heat_map"`` for any number.
    patch_size
        Side in pixels of what the network sees; 0 for what suits.
    validation_fraction, seed, channels
        As the training sets take them. Nothing is held out of images that the person chose to train on.

    Raises
    ------
    UserError
        CN-645 for a frame with several positions where one is wanted, CN-647 for positions of several
        classes there; what the training sets raise.
    """
    images = [_named(image, plane) for image, plane in zip(images, planes, strict=True)]
    values = [_values(plane, classes) for plane in planes]
    is_held, fraction, drawn = _held_out(planes, validation_fraction, seed)
    options = {"validation_fraction": fraction, "seed": seed, "channels": channels}
    if mode == "patch":
        found = _frames(
            planes, images, values, classes, is_held, patch_size=patch_size or None, **options
        )
        split = replace(found.split, description=drawn or found.split.description)
        return replace(found, split=split)
    from napari_convnet.samples import AnnotatedPositions, HeatMapSet

    parts = [
        AnnotatedPositions(
            image, plane.centres, value, film=_film_of(plane) if plane.arrays.plane else "", time=_time_of(plane)
        )
        for image, plane, value in zip(images, planes, values, strict=True)
    ]  # fmt: skip
    maps = HeatMapSet.from_images(
        [part for part, held in zip(parts, is_held, strict=True) if not held], classes,
        validation=[part for part, held in zip(parts, is_held, strict=True) if held],
        patch_size=patch_size or _PATCH_SIZE, **options,
    )  # fmt: skip
    areas = replace(maps.areas, description=drawn or maps.areas.description)
    return replace(maps, areas=areas)


def _frames(
    planes: Sequence[AnnotatedPlane],
    images: Sequence[CleanImage],
    values: Sequence[np.ndarray],
    classes: tuple[ClassInfo, ...],
    is_held: Sequence[bool],
    **options: Any,
) -> PositionSet:
    from napari_convnet.samples import AnnotatedFrames, PositionSet

    crowded = next((k for k, plane in enumerate(planes) if len(plane.values) > 1), None)
    if crowded is not None:
        raise UserError(
            "CN-645",
            f"'{images[crowded].name[-60:]}' has {len(values[crowded])} positions, and one in each frame shall be "
            "learned. Your annotations are safe. Remove the others, or choose Learn > any number in an image.",
        )
    found = sorted({int(value) for each in values for value in each})
    if len(found) > 1:
        names = " and ".join(f"'{classes[value - 1].name}'" for value in found[:2])
        raise UserError(
            "CN-647",
            f"Positions of {len(found)} classes are marked ({names}), and one in each frame shall be learned, of one "
            "class. Your annotations are safe. Choose Learn > any number in an image.",
        )
    films: dict[str, list[int]] = {}
    for number, plane in enumerate(planes):
        films.setdefault(_film_of(plane), []).append(number)
    members = [sorted(film, key=lambda k: _time_of(planes[k])) for film in films.values()]
    are_held = [is_held[film[0]] for film in members]
    return PositionSet.from_frames(
        [
            AnnotatedFrames(
                [images[k] for k in film], np.concatenate([planes[k].centres for k in film]),
                np.array([_time_of(planes[k]) for k in film]),
            )
            for film in members
        ],
        classes=(classes[found[0] - 1],), is_validation=are_held if any(are_held) else None, **options,
    )  # fmt: skip


def _held_out(
    planes: Sequence[AnnotatedPlane], fraction: float, seed: int
) -> tuple[list[bool], float, str]:
    """Return which planes are held out, and the share to hold out where none is.

    The text says what is held out where a person only chose what to train on; it is empty elsewhere.
    """
    is_held = [plane.split == "validation" for plane in planes]
    free = sorted({plane.image_id for plane in planes if plane.split == "automatic"})
    if any(is_held) or all(plane.split != "training" for plane in planes):
        return is_held, fraction, ""
    if not free or not fraction:
        return is_held, 0.0, ""
    n_images = len({plane.image_id for plane in planes})
    chosen = np.random.default_rng(seed).permutation(free)[: max(1, round(fraction * n_images))]
    drawn = (
        f"{len(chosen)} of {n_images} images held out, drawn by the program; nothing of the "
        f"{n_images - len(free)} images set to training"
    )
    return [plane.image_id in chosen for plane in planes], fraction, drawn


def _film_of(plane: AnnotatedPlane) -> str:
    """Name what a plane is a frame of: its image, at one place along all axes but the first."""
    return f"{plane.image_id} {plane.arrays.plane[1:]}"


def _time_of(plane: AnnotatedPlane) -> int:
    return plane.arrays.plane[0] if plane.arrays.plane else 0


def _named(image: CleanImage, plane: AnnotatedPlane) -> CleanImage:
    numbers = ", ".join(str(index) for index in plane.arrays.plane)
    return replace(image, name=f"{image.name}, plane {numbers}") if numbers else image


def _values(plane: AnnotatedPlane, classes: tuple[ClassInfo, ...]) -> np.ndarray:
    """Return the class values; where there is one class only, positions without a class are of it."""
    values = plane.values.astype(np.int64)
    return np.maximum(values, 1) if len(classes) == 1 else values


# What is said --------------------------------------------------------------------------------


def with_pixel_size(
    model: Model, data: bytes, planes: Sequence[AnnotatedPlane]
) -> tuple[Model, bytes]:
    """Note on a model's card how large a pixel was, where all images agree; returns the file's bytes, too."""
    from napari_convnet.model_file import model_bytes

    sizes = {plane.pixel_size for plane in planes}
    if len(sizes) != 1 or not next(iter(sizes)):
        return model, data
    size, unit = next(iter(sizes))
    card = model.card.model_copy(update={"pixel_size": (size, size), "units": (unit, unit)})
    model = replace(model, card=card)
    return model, model_bytes(model)


def score_axis(task: str, mode: str) -> tuple[str, bool]:
    """Return what the score of a training is called in the curves, and whether it is minus an error."""
    if task == "locate":
        return ("error (px)", True) if mode == "patch" else ("F1", False)
    return "mean IoU" if task == "segment" else "balanced accuracy", False


def describe_located(card: ModelCard) -> str:
    """Say how well held-out positions were located, and on what that was measured."""
    scores, held = card.scores, card.scores["validation"]
    what = scores["measured_on"].removesuffix(f" ({held['n']} positions)")
    on = f"{held['n']:,} held-out positions ({what})"
    error = _error(held["root_mean_square_error_pixels"], card)
    if card.locate.mode == "patch":
        return f"{error[0].upper()}{error[1:]} on {on}."
    parts = [f"{name} {_number(held.get(name))}" for name in ("precision", "recall")]
    found = f"{', '.join(parts)} within {held['tolerance_pixels']:g} px, {error}"
    return f"{found[0].upper()}{found[1:]}, on {on}."


def _error(pixels: float | None, card: ModelCard) -> str:
    if pixels is None:
        return "no position found"
    text = f"root mean square error {pixels:.2g} px"
    if card.pixel_size and card.units:
        text += f" ({pixels * card.pixel_size[-1]:.2g} {short_unit(card.units[-1])})"
    return text


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
