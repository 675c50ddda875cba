"""Films: frames that are read one by one, and a split by blocks of time.

Neighbouring frames of a film are nearly the same picture. Frames held out at random would therefore
measure how well a network remembers, so what is held out is always a block of time, or a whole film.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, clean_image
from napari_convnet.samples.split import Split, split_by_group

#: Frames beside a held-out block that are used for nothing, in a film of 50 annotated frames or more.
LARGEST_GAP = 5
#: With fewer held-out frames than this a score is a rough guess.
_ENOUGH_FRAMES = 10


class Film(Sequence[CleanImage]):
    """The frames of an array, each brought into the core's form when it is asked for.

    Parameters
    ----------
    array
        Any array with a shape, lazy ones (dask, zarr) included; the first axis is time.
    axes
        ``"TYX"``, ``"TCYX"`` or ``"TYXC"``; the first letter may be any.
    name
        What to call it in messages.

    Raises
    ------
    UserError
        CN-602 for axes that do not fit.
    """

    def __init__(self, array: Any, axes: str, name: str = "film") -> None:
        if axes[1:] not in ("YX", "CYX", "YXC") or len(axes) != len(array.shape):
            raise UserError(
                "CN-602",
                f"'{name}' has shape {tuple(array.shape)}, which does not fit axes {axes}. "
                "A film has one axis of time before the axes of its frames.",
            )
        self._array, self._axes, self.name = array, axes, name

    def __len__(self) -> int:
        return int(self._array.shape[0])

    @overload
    def __getitem__(self, index: int) -> CleanImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[CleanImage]: ...
    def __getitem__(self, index: int | slice) -> CleanImage | list[CleanImage]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        frame = range(len(self))[index]  # negative indices, and the end of a for loop
        name = f"{self.name}, frame {frame}"
        return clean_image(np.asarray(self._array[frame]), self._axes[1:], name)


def split_films(times: Sequence[np.ndarray], fraction: float, seed: int = 0) -> Split:
    """Hold out whole films where there are three or more, else the end of each film, with a gap before it.

    Never single frames at random: they would look like their neighbours in training.

    Parameters
    ----------
    times
        ``(N,)`` whole numbers a film: the frame number of each annotated frame.
    fraction
        Share of the annotated frames to hold out; 0 holds out nothing.

    Returns
    -------
    Split
        Indices count the annotated frames of all films in a row.
    """
    film_of = np.repeat(np.arange(len(times)), [len(t) for t in times])
    everything = np.arange(len(film_of))
    if fraction <= 0 or not len(everything):
        warning = "No score can be measured."
        return Split(everything, everything[:0], "nothing is held out", warning)
    if len(times) >= 3:
        by_film = split_by_group(np.zeros(len(film_of), np.int64), film_of, fraction, seed)
        if by_film is not None:
            n_held = np.unique(film_of[by_film.validation]).size
            frames = f"{len(by_film.validation)} of {len(film_of)} frames"
            description = f"{n_held} of {len(times)} films held out ({frames})"
            warning = _too_few(len(by_film.validation))
            return Split(by_film.training, by_film.validation, description, warning)
    return _hold_out_ends(times, film_of, fraction)


def _hold_out_ends(times: Sequence[np.ndarray], film_of: np.ndarray, fraction: float) -> Split:
    training, validation, gaps = [], [], []
    for film, numbers in enumerate(times):
        numbers, places = np.asarray(numbers), np.flatnonzero(film_of == film)
        first_held = _first_held(numbers, fraction)
        gap = min(LARGEST_GAP, len(numbers) // 10)
        gaps.append(gap)
        training.append(places[numbers < first_held - gap])
        validation.append(places[numbers >= first_held])
    kept, held = np.concatenate(training), np.concatenate(validation)
    where = "the film" if len(times) == 1 else f"each of {len(times)} films"
    gap_text = f"; up to {max(gaps)} frames before them are not used" if max(gaps) else ""
    description = f"the last frames of {where} held out ({len(held)} of {len(film_of)}){gap_text}"
    if not len(held):
        description = "nothing is held out"
    return Split(kept, held, description, _too_few(len(held)))


def _first_held(numbers: np.ndarray, fraction: float) -> float:
    """Return the frame number at which a film's held-out block begins."""
    if len(numbers) < 3:
        return np.inf
    n_held = min(max(1, round(len(numbers) * fraction)), len(numbers) - 2)
    return float(np.sort(numbers)[-n_held])


def _too_few(n_held: int) -> str:
    if not n_held:
        return "Nothing is held out, so no score can be measured. Annotate more frames."
    if n_held < _ENOUGH_FRAMES:
        return f"Only {n_held} held-out frames: the score is a rough guess."
    return ""
