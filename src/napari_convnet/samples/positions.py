"""Training sets of the locate task with one position a patch: the frames of films."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, Normalisation, NormalisationMode, cut_patch
from napari_convnet.samples.augmentation import AugmentationSettings, Looks, draw_looks
from napari_convnet.samples.checks import check_channels, default_channels
from napari_convnet.samples.films import split_films
from napari_convnet.samples.kinds_of_sets import PatchSet
from napari_convnet.samples.split import Split, image_names, split_given

#: Steps of an epoch at least: a film of 30 annotated frames would otherwise be measured after every second one.
_FEWEST_SAMPLES = 128
#: Held-out positions nearer than this to the truth, in pixels, count as found in the curves.
TOLERANCE = 1.0


@dataclass(frozen=True)
class AnnotatedFrames:
    """Annotated frames of one film, with one position in each.

    Parameters
    ----------
    frames
        The annotated frames, all of one size; the others need not be read.
    centres
        ``(N, 2)`` rows and columns in pixels; the middle of the first pixel is (0, 0).
    times
        ``(N,)`` frame number of each in its film; by default they follow each other.
    """

    frames: Sequence[CleanImage]
    centres: np.ndarray
    times: np.ndarray | None = None

    @property
    def numbers(self) -> np.ndarray:
        """Frame numbers ``(N,)``."""
        return np.arange(len(self.frames)) if self.times is None else np.asarray(self.times)


@dataclass(frozen=True)
class PositionSet(PatchSet):
    """Patches with one position each, split into training and validation by blocks of time.

    Parameters
    ----------
    patches
        ``(N, C, Y, X)`` float32, normalised.
    targets
        ``(N, 2)`` float32: row and column in pixels from the patch's centre.
    split
        Which samples train and which are held out.
    channels
        Names of the channels.
    normalisation
        What was applied to the frames.
    patch_size
        Side in pixels of the square around the frame's middle that the network sees.
    classes
        One: what is located.
    tolerance
        Distance in pixels up to which a position counts as found.
    """

    patches: Tensor
    targets: Tensor
    split: Split
    channels: tuple[str, ...]
    normalisation: Normalisation
    patch_size: int
    classes: tuple[ClassInfo, ...] = field(default_factory=lambda: make_classes(("position",)))
    tolerance: float = TOLERANCE
    task: str = "locate"
    mode: str = "patch"

    @classmethod
    def from_frames(
        cls,
        films: Sequence[AnnotatedFrames],
        *,
        patch_size: int | None = None,
        validation_fraction: float = 0.2,
        classes: tuple[ClassInfo, ...] | None = None,
        channels: tuple[str, ...] | None = None,
        normalisation: NormalisationMode = "per_image",
        seed: int = 0,
        is_validation: Sequence[bool] | None = None,
    ) -> PositionSet:
        """Take annotated frames of one or several films, one position in each frame.

        Held out are the films for which ``is_validation`` says so; without it whole films where there are
        three or more, else the last frames of each film, with a gap of up to 5 frames before them. Single
        frames are never held out at random, because a frame looks like the ones before and after it.

        Parameters
        ----------
        patch_size
            Side in pixels of the square around the frames' middle that the network shall see; by default the
            longer side of the largest frame.

        Raises
        ------
        UserError
            CN-621 without positions, CN-623 when films differ in channels, CN-644 for a position outside
            of the square.
        """
        chosen = np.zeros(len(films), bool) if is_validation is None else np.asarray(is_validation)
        chosen = chosen[[len(film.frames) > 0 for film in films]]
        films = [film for film in films if len(film.frames)]
        if not films:
            raise UserError(
                "CN-621", "Nothing is annotated yet. Mark the position in some frames, then train."
            )
        frames = [frame for film in films for frame in film.frames]
        check_channels(frames)
        centres = np.concatenate([np.asarray(film.centres, np.float64) for film in films])
        size = patch_size or max(max(frame.pixels.shape[1:]) for frame in frames)
        targets = np.stack(
            [
                np.asarray(centre) - patch_middle(frame.pixels.shape[1:], size)
                for frame, centre in zip(frames, centres, strict=True)
            ]
        )
        _check_inside(targets, size, frames)
        if chosen.any():
            film_of = np.repeat(np.arange(len(films)), [len(film.frames) for film in films])
            what = f"{chosen.sum()} films chosen by you"
            split = split_given(np.zeros(len(frames), np.int64), chosen[film_of], what)
        else:
            split = split_films([film.numbers for film in films], validation_fraction, seed)
        names = image_names([frame.name for frame in frames])
        places = [f"{name} {y:.3f} {x:.3f}" for name, (y, x) in zip(names, centres, strict=True)]
        split = replace(split, places=np.array(places))
        fitted = Normalisation.fit(normalisation, (frames[i].pixels for i in split.training))
        patches = [frame_patch(fitted.apply(frame.pixels), size) for frame in frames]
        return cls(
            torch.from_numpy(np.stack(patches)),
            torch.from_numpy(targets.astype(np.float32)),
            split,
            channels or default_channels(frames[0]),
            fitted,
            size,
            classes or make_classes(("position",)),
        )

    def class_counts(self) -> np.ndarray:
        """Return the number of training samples, ``(1,)``."""
        return np.array([self.n_training])

    def batches_per_epoch(self, batch_size: int) -> int:
        """Return the number of training steps in one epoch; few samples are shown several times."""
        return -(-self._samples_per_epoch // batch_size)

    @property
    def _samples_per_epoch(self) -> int:
        return self.n_training * max(1, -(-_FEWEST_SAMPLES // max(1, self.n_training)))

    def training_batches(
        self,
        batch_size: int,
        random: torch.Generator,
        *,
        augment: AugmentationSettings | None,
        shuffle: str = "every_epoch",
        balanced: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs ``(N, C, Y, X)`` and targets ``(N, 2)``; positions move along with what is turned.

        ``shuffle`` is that of `ClassificationSet.training_batches`; there is nothing to balance.
        """
        if shuffle == "once":
            random = torch.Generator().manual_seed(random.initial_seed())
        indices = torch.from_numpy(self.split.training)
        indices = indices.repeat(self._samples_per_epoch // self.n_training)
        if shuffle != "never":
            indices = indices[torch.randperm(len(indices), generator=random)]
        for chosen in torch.tensor_split(indices, self.batches_per_epoch(batch_size)):
            inputs, targets = self.patches[chosen], self.targets[chosen]
            yield _augment(inputs, targets, random, augment) if augment else (inputs, targets)


def patch_middle(shape: Sequence[int], size: int) -> np.ndarray:
    """Return the centre (row, column), in pixels of the frame, of the square that the network sees."""
    starts = [math.floor((extent - 1) / 2 - size / 2 + 1) for extent in shape]
    return np.array(starts) + (size - 1) / 2


def frame_patch(pixels: np.ndarray, size: int) -> np.ndarray:
    """Cut the square around the middle of a frame ``(C, Y, X)``, repeating its border where it is smaller."""
    return cut_patch(pixels, [(extent - 1) / 2 for extent in pixels.shape[1:]], size)


def _check_inside(targets: np.ndarray, size: int, frames: Sequence[CleanImage]) -> None:
    outside = ~(np.abs(targets) <= size / 2).all(1)  # NaN is outside, too
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise UserError(
            "CN-644",
            f"The position in '{frames[first].name}' lies outside of the {size} x {size} pixels around "
            "the middle of the frame, which the network sees. Correct it, or choose a larger patch.",
        )


def _augment(
    inputs: Tensor, targets: Tensor, random: torch.Generator, settings: AugmentationSettings
) -> tuple[Tensor, Tensor]:
    """Turn patches and their positions; one whose position would leave the patch stays as it is."""
    looks = without_resampling(draw_looks(inputs.shape, random, settings))
    middle = (torch.tensor(inputs.shape[2:]) - 1) / 2
    moved = looks.positions((targets + middle)[:, None])[:, 0] - middle
    pictures = looks.pictures(inputs)
    is_lost = (moved.abs() > middle).any(1)
    pictures[is_lost], moved[is_lost] = inputs[is_lost], targets[is_lost]
    return pictures, moved


def without_resampling(looks: Looks) -> Looks:
    """Turn by right angles only, shift by whole pixels, and do not scale.

    Any other move interpolates, which takes noise out of the picture. Trained on such pictures, a network
    trusts the noise of real ones: the error on held-out frames of a simulated bead film was twice as large.

    Parameters
    ----------
    looks
        Of square pictures.
    """
    turn, shift = looks.matrices[:, :, :2], looks.matrices[:, :, 2]
    # Of a turn and a mirror image, in each row the larger entry says which axis it is.
    is_larger = turn.abs() >= turn.abs().flip(2)
    right_angled = torch.where(is_larger, turn.sign(), 0.0)
    half = torch.tensor(looks.size).flip(0) / 2
    whole = (shift * half).round() / half
    return replace(looks, matrices=torch.cat([right_angled, whole[:, :, None]], dim=2))
