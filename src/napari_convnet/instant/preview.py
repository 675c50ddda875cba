"""The preview as a job: learn from the strokes, then classify what is in view, roughly first, tile by tile."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convnet.errors import UserError
from napari_convnet.instant.classifier import fit_classifier
from napari_convnet.instant.feature_store import TILE, FeatureStore, PaintedPart
from napari_convnet.instant.features import ReadableImage
from napari_convnet.progress import Progress

#: Sides of the squares that are classified first; of the larger ones when much is in view.
_COARSE, _COARSER = 2, 4
_MUCH_IN_VIEW = 2_000_000
#: Threads that compute tiles; the viewer needs some of the machine, too.
_THREADS = max(1, min(4, os.cpu_count() or 1))

_Place = tuple[int, int]


@dataclass(frozen=True, eq=False)
class PreviewRequest:
    """What a preview is made of.

    Parameters
    ----------
    images
        For each plane that is shown or painted, a function that opens it; called in the worker when needed.
    painted
        All strokes.
    shown
        The key of the plane that is shown.
    window
        Its rows and columns that are in view.
    seed
        Drives the classifier.
    """

    images: Mapping[Hashable, Callable[[], ReadableImage]]
    painted: Sequence[PaintedPart]
    shown: Hashable
    window: tuple[slice, slice]
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class PreviewLearned(Progress):
    """The classifier is there.

    Parameters
    ----------
    n_pixels, n_images
        What it learned from.
    is_new
        Whether it learned from other strokes than the last time.
    notes
        Which images were left out and why, one sentence each.
    """

    n_pixels: int
    n_images: int
    is_new: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PreviewPart(Progress):
    """A tile of the preview.

    Parameters
    ----------
    origin
        Its first row and column in the plane.
    classes
        ``(Y, X)`` uint8 class values.
    is_coarse
        Whether a finer one will follow.
    """

    origin: _Place
    classes: np.ndarray
    is_coarse: bool


def preview_steps(
    request: PreviewRequest, store: FeatureStore, stop: threading.Event
) -> Generator[Progress, None, PreviewLearned | None]:
    """Learn from all strokes and classify what is in view.

    Parameters
    ----------
    store
        Keeps features from one preview to the next.
    stop
        Looked at between tiles.

    Yields
    ------
    Progress
        `PreviewLearned`, then a coarse and then a full `PreviewPart` of every tile, those in the middle of the view
        first.

    Returns
    -------
    PreviewLearned or None
        None when it was stopped.

    Raises
    ------
    UserError
        CN-622 with strokes of fewer than two classes; those of reading the plane that is shown.
    """
    yield Progress(done=0, total=0, text="looking at the strokes")
    parts, notes = yield from _usable_parts(request, store, stop)
    if stop.is_set():
        return None
    with ThreadPoolExecutor(_THREADS) as pool:
        # They are taken from the store only once all are there: it keeps fewer pixels of each of very many tiles.
        for done, _ in enumerate(_in_threads(pool, store.painted, parts, stop), start=1):
            yield Progress(done=done, total=len(parts), text="looking at the strokes")
        if stop.is_set():
            return None
        key = (request.seed, *(part.key for part in parts))
        is_new = not store.is_fitted_to(key)
        classifier = store.classifier(
            key, lambda: fit_classifier([store.painted(part) for part in parts], request.seed)
        )
        store.keep_painted(parts)
        tiles = tiles_in_view(store.image(request.shown, request.images[request.shown])[0], request)
        learned = PreviewLearned(
            done=0, total=len(tiles), text="preview", n_pixels=classifier.n_pixels,
            n_images=len({part.image for part in parts}), is_new=is_new, notes=notes,
        )  # fmt: skip
        yield learned
        yield from _classify(pool, request, store, tiles, stop)
    return None if stop.is_set() else learned


def _usable_parts(
    request: PreviewRequest, store: FeatureStore, stop: threading.Event
) -> Generator[Progress, None, tuple[list[PaintedPart], tuple[str, ...]]]:
    """Open the images of strokes that are new; strokes of an image that cannot be used are left out."""
    shown, _ = store.image(request.shown, request.images[request.shown])
    parts: list[PaintedPart] = []
    notes: dict[Hashable, str] = {}
    for part in request.painted:
        if stop.is_set():
            break
        if part.image in notes:
            continue
        if part.image != request.shown:
            yield Progress(done=0, total=0, text="looking at strokes of other images")
        note = _why_left_out(part, request, store, shown.n_channels)
        if note:
            notes[part.image] = note
        else:
            parts.append(part)
    store.close_images(request.shown)
    return [part for part in parts if part.image not in notes], tuple(notes.values())


def _why_left_out(
    part: PaintedPart, request: PreviewRequest, store: FeatureStore, n_channels: int
) -> str:
    """Make the features of strokes known, or of those of the shown plane open the image; else say why not."""
    key, open_image = part.image, request.images[part.image]
    if key in store.refusals:
        return store.refusals[key]
    if not store.is_open(key):  # at most one besides the one that is shown
        store.close_images(request.shown)
    try:
        name, found = store.name_and_channels(key, open_image)
        if found != n_channels:
            return f"'{name[:40]}' is left out: it has {found} channels, not {n_channels}."
        if not store.is_known(part):
            store.image(key, open_image)
            if key != request.shown:
                store.painted(part)
    except UserError as error:
        if key == request.shown:
            raise
        store.refusals[key] = f"An image is left out: {error.message}"
    return store.refusals.get(key, "")


def tiles_in_view(image: ReadableImage, request: PreviewRequest) -> list[_Place]:
    """Return first row and column of the tiles in view, the one nearest to its middle first."""
    spans = [
        range(max(0, part.start) // TILE * TILE, min(size, part.stop), TILE)
        for part, size in zip(request.window, image.shape, strict=True)
    ]
    middle = [(part.start + part.stop - TILE) / 2 for part in request.window]
    places = [(row, column) for row in spans[0] for column in spans[1]]
    return sorted(places, key=lambda p: (p[0] - middle[0]) ** 2 + (p[1] - middle[1]) ** 2)


def _classify(
    pool: ThreadPoolExecutor,
    request: PreviewRequest,
    store: FeatureStore,
    tiles: Sequence[_Place],
    stop: threading.Event,
) -> Iterator[PreviewPart]:
    """Yield what is known, then the other tiles roughly, then as they are."""
    key = request.shown
    known = [place for place in tiles if store.is_classified(key, *place)]
    new = [place for place in tiles if not store.is_classified(key, *place)]
    (height, width), done = store.image(key, request.images[key])[0].shape, 0
    coarse = _COARSER if len(tiles) * TILE**2 > _MUCH_IN_VIEW else _COARSE
    for step, places in ((1, known), (coarse, new), (1, new)):

        def classes_of(place: _Place, step: int = step) -> np.ndarray:
            return store.classes(key, *place, step)

        for place, classes in zip(
            places, _in_threads(pool, classes_of, places, stop), strict=False
        ):
            done += step == 1
            if step > 1:
                classes = classes.repeat(step, axis=0).repeat(step, axis=1)
                classes = classes[: height - place[0], : width - place[1]]
            yield PreviewPart(
                done=done, total=len(tiles), text="preview", origin=place, classes=classes,
                is_coarse=step > 1,
            )  # fmt: skip


def _in_threads(
    pool: ThreadPoolExecutor, function: Callable, items: Sequence, stop: threading.Event
) -> Iterator[Any]:
    """Yield a function of each item, in order, computed in threads a little ahead; a stop ends it."""
    waiting: deque[Future] = deque()
    rest = iter(items)
    try:
        while not stop.is_set():
            while len(waiting) <= _THREADS:
                item = next(rest, None)
                if item is None:
                    break
                waiting.append(pool.submit(function, item))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
