"""What live training is told and tells: strokes and the view go in, events come out; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from napari_convnet.classes import ClassInfo
from napari_convnet.instant import PaintedPart
from napari_convnet.instant.features import ReadableImage
from napari_convnet.progress import Progress

#: Opens the plane of an image.
OpenPlane = Callable[[], ReadableImage]


#: Strokes whose shares of right pixels are told together, the last ones.
RECENT_STROKES = 10


@dataclass(frozen=True, eq=False)
class LiveStrokes:
    """All strokes of now.

    Parameters
    ----------
    images
        For each plane that is painted, a function that opens it.
    painted
        What is painted, tile by tile.
    classes
        Names and colours; value k is the k-th.
    lasting
        For each plane what stays the same when its image is closed or opened again, which changes its key; a plane
        that is not named here keeps its key.
    """

    images: Mapping[Hashable, OpenPlane]
    painted: Sequence[PaintedPart]
    classes: tuple[ClassInfo, ...]
    lasting: Mapping[Hashable, Hashable] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class InView:
    """What a person looks at.

    Parameters
    ----------
    key
        Which plane of which image.
    open
        Opens it.
    window
        Its rows and columns that are in view.
    """

    key: Hashable
    open: OpenPlane
    window: tuple[slice, slice]


class LiveSource(Protocol):
    """Where live training looks for what is new, from its own thread."""

    @property
    def version(self) -> Hashable:
        """What differs once strokes or classes may have changed; asked before every step."""

    @property
    def view(self) -> InView | None:
        """What is looked at now; None while nothing is, and another object once that is something else."""

    def read(self) -> LiveStrokes:
        """Return the strokes of now."""


@dataclass(frozen=True, kw_only=True)
class WaitingForStrokes(Progress):
    """There is nothing to learn yet."""


@dataclass(frozen=True, kw_only=True)
class Resting(Progress):
    """What is painted was learned long enough; the next stroke goes on."""


@dataclass(frozen=True, kw_only=True)
class StrokesJoined(Progress):
    """New strokes are learned from now on; ``done`` is the step.

    Parameters
    ----------
    seconds
        Since the training began, without pauses.
    n_pixels
        Newly painted, or painted over.
    n_images
        How many planes are painted now.
    n_scored, n_right
        Of the new pixels, those for which a prediction had been shown, and those where it had been right: counted
        before anything was learned from them. Both are 0 as long as none was shown.
    rights
        The same, ``(n_scored, n_right)`` for each class.
    notes
        What is left out and why.
    """

    seconds: float
    n_pixels: int
    n_images: int
    n_scored: int = 0
    n_right: int = 0
    rights: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class LivePart(Progress):
    """A tile of what is looked at.

    Parameters
    ----------
    key
        Of the `InView`.
    origin
        First row and column in the plane.
    classes
        ``(Y, X)`` uint8, k = k-th class.
    uncertainty
        ``(Y, X)`` uint8: 255 where the two most likely classes are equally likely, 0 where one is certain.
    """

    key: Hashable
    origin: tuple[int, int]
    classes: np.ndarray
    uncertainty: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Looked(Progress):
    """All of what is looked at was predicted anew.

    Parameters
    ----------
    agreement
        Share of painted pixels, mean over the classes, that the network gives the class they were painted with. It
        was trained on them, so this is no score.
    """

    agreement: float
