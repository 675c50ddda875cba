"""Training on stacks from the Train dock: whole stacks of which some slices are painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, ImageNote
from napari_convnet.widgets.axes import known_axes
from napari_convnet.widgets.closed_images import FilePlane, read_planes
from napari_convnet.widgets.planes import Planes, planes_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import Source, find_by_id, source_layers
from napari_convnet.widgets.training_data import AnnotatedPlane

if TYPE_CHECKING:
    from napari_convnet.samples.stacks import StackSet
    from napari_convnet.widgets.training_job import TrainingRequest


@dataclass(frozen=True, eq=False)
class PaintedStack:
    """One stack with its painted slices.

    Parameters
    ----------
    slices
        Where the worker reads them: numbers of planes of an open image, or slices of a file.
    open_planes
        The planes of the open image; None for a file.
    painted
        ``(Y, X)`` uint8 class values by the number of the slice.
    split
        ``"automatic"``, ``"training"``, ``"validation"`` or ``"test"``.
    image_id, image_name
        Of the project's image that it is a part of.
    channel_names
        One for each channel, empty where they are not known.
    """

    slices: Sequence[Any]
    open_planes: Planes | None
    painted: dict[int, np.ndarray]
    split: str
    image_id: int
    image_name: str
    channel_names: tuple[str, ...] = ()

    def read(self) -> list[CleanImage]:
        """Read all slices; for a worker's thread."""
        if self.open_planes is None:
            return read_planes(list(self.slices))
        return [self.open_planes[number] for number in self.slices]

    def labels(self) -> np.ndarray:
        """Return what is painted, ``(Z, Y, X)`` uint8, 0 = not annotated."""
        labels = np.zeros((len(self.slices), *next(iter(self.painted.values())).shape), np.uint8)
        for number, painted in self.painted.items():
            labels[number] = painted
        return labels


def collect_stacks(
    session: Session, annotated: Sequence[AnnotatedPlane]
) -> tuple[PaintedStack, ...]:
    """Return the stacks that painted planes are slices of; nothing of them is read yet.

    Raises
    ------
    UserError
        CN-676 for a painted image that has no axis of depth.
    """
    groups: dict[tuple, list[AnnotatedPlane]] = {}
    for plane in annotated:
        index = plane.arrays.plane
        depth = _depth_axis(session, plane)
        others = (*index[:depth], *index[depth + 1 :])
        groups.setdefault((plane.image_id, depth, others), []).append(plane)
    return tuple(_stack(session, members, depth) for (_, depth, _), members in groups.items())


def _stack(session: Session, members: Sequence[AnnotatedPlane], depth: int) -> PaintedStack:
    first = members[0]
    painted = {member.arrays.plane[depth]: member.painted for member in members}
    index, facts = first.arrays.plane, (first.split, first.image_id, first.image_name)
    if isinstance(first.arrays, FilePlane):
        slices = [
            FilePlane(first.arrays.image, (*index[:depth], z, *index[depth + 1 :]))
            for z in range(first.arrays.image.shape[depth])
        ]
        return PaintedStack(slices, None, painted, *facts)
    planes = planes_of(session.viewer, _source_of(session, first.image_id))
    numbers = [
        planes.indices.index((*index[:depth], z, *index[depth + 1 :]))
        for z in range(planes.shape[depth])
    ]
    return PaintedStack(numbers, planes, painted, *facts, first.arrays.channel_names)


def _source_of(session: Session, image_id: int) -> Source:
    """Return the layers of an open image of the project."""
    return next(
        Source(opened.source.image_ids)
        for opened in session.open_images.values()
        if opened.image_id == image_id
        and all(find_by_id(session.viewer, layer) is not None for layer in opened.source.image_ids)
    )


def _depth_axis(session: Session, plane: AnnotatedPlane) -> int:
    """Return which of the axes before Y and X is depth."""
    if isinstance(plane.arrays, FilePlane):
        letters = plane.arrays.image.axes.casefold()[: len(plane.arrays.plane)]
    else:
        source = _source_of(session, plane.image_id)
        letters = known_axes(source_layers(session.viewer, source)[0][0])[: len(plane.arrays.plane)]
    if "z" not in letters:
        raise UserError(
            "CN-676",
            f"'{plane.image_name[:60]}' is painted and has no axis that is known to be depth, and network 'unet3d' "
            "learns from z-stacks. Nothing was started. Choose 'unet', or name the axis z.",
        )
    return list(letters).index("z")


def stack_set(request: TrainingRequest) -> tuple[StackSet, tuple[ImageNote, ...]]:
    """Read the stacks of a request and return the training set; runs in the worker."""
    from napari_convnet.networks import network_entry
    from napari_convnet.samples.stacks import AnnotatedStack, StackSet

    annotated, notes = [], []
    for stack in request.stacks:
        planes = stack.read()
        notes += [note for plane in planes for note in plane.notes]
        annotated.append(AnnotatedStack.of_planes(planes, stack.labels()))
    is_held = [stack.split == "validation" for stack in request.stacks]
    free = [part for part, held in zip(annotated, is_held, strict=True) if not held]
    samples = StackSet.from_annotations(
        free, request.classes, patch_size=request.patch_size or network_entry(request.network).input_size,
        validation_fraction=request.settings.validation_fraction, seed=request.settings.seed,
        validation=[part for part, held in zip(annotated, is_held, strict=True) if held],
        channels=next((s.channel_names for s in request.stacks if s.channel_names), None),
        always_train=[s.split == "training" for s in request.stacks if s.split != "validation"],
    )  # fmt: skip
    return samples, tuple(dict.fromkeys(notes))
