"""Positions: one in each frame of a film, or all of an image, to a fraction of a pixel."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from napari_convnet.devices import choose_device, use_all_cores
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage, ImageNote, LazyImage
from napari_convnet.model_file import Model
from napari_convnet.prediction.fitting import check_model_fits, check_result_fits, normalisation_of
from napari_convnet.prediction.orientations import is_transposed, mirrored_axes, turned
from napari_convnet.prediction.reading import NormalisedImage, PredictionInterrupted
from napari_convnet.prediction.tile_by_tile import predict_tiles
from napari_convnet.prediction.tiles import Tile
from napari_convnet.progress import Progress, run
from napari_convnet.samples.peaks import find_peaks
from napari_convnet.samples.positions import frame_patch, patch_middle

#: Frames that go through the network at once.
_BATCH = 32


@dataclass(frozen=True)
class LocatedPositions:
    """Positions in an image, the surest first.

    Parameters
    ----------
    positions
        ``(N, 2)`` float64 rows and columns in pixels; the middle of the first pixel is (0, 0).
    values
        ``(N,)`` int64 class values, k = k-th class.
    confidence
        ``(N,)`` float32 heights of the peaks, about 1 for a spot as the network knows them.
    heat_maps
        ``(K, Y, X)`` float32; zeros where prediction was stopped before.
    notes
        What a person should know about the image.
    """

    positions: np.ndarray
    values: np.ndarray
    confidence: np.ndarray
    heat_maps: np.ndarray
    notes: tuple[ImageNote, ...] = ()


@dataclass(frozen=True)
class LocatedFrames:
    """One position in each frame of a film.

    Parameters
    ----------
    positions
        ``(T, 2)`` float64 rows and columns in pixels, NaN where a heat map shows none; as many frames as were
        reached.
    confidence
        ``(T,)`` float32: heights of the peaks; for a network that gives positions directly, how well its
        answers for turned and mirrored copies of the frame agree, 1 / (1 + their spread in pixels), or NaN
        where it has never seen such copies.
    notes
        What a person should know about the frames.
    """

    positions: np.ndarray
    confidence: np.ndarray
    notes: tuple[ImageNote, ...] = ()

    @property
    def frames(self) -> np.ndarray:
        """Frame number ``(N,)`` of each position that was found."""
        return np.flatnonzero(np.isfinite(self.positions).all(1))

    @property
    def tracks(self) -> np.ndarray:
        """Data of a napari Tracks layer, ``(N, 4)`` float64: track id (1), frame, row and column in pixels."""
        frames = self.frames
        return np.column_stack([np.ones(len(frames)), frames, self.positions[frames]])


def locate_positions(
    model: Model,
    image: CleanImage | LazyImage,
    *,
    threshold: float | None = None,
    tile_size: int | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, LocatedPositions]:
    """Find all positions in an image as the peaks of a heat map.

    Parameters
    ----------
    threshold
        Height from which a peak is a position; by default the one that was best on held-out data.
    tile_size
        Side in pixels of the tiles that are predicted at once, by default what suits the network; the result
        does not depend on it.
    stop
        Looked at after every tile; nothing is found where it was not looked.

    Raises
    ------
    UserError
        CN-106 when the model does not fit the image or finds one position a patch, CN-605 when the result
        would not fit into memory; `PredictionInterrupted` with what is done when a lazy image cannot be read
        any further.
    """
    check_model_fits(model, "locate", image)
    if model.card.locate.mode != "heat_map":
        raise UserError(
            "CN-106",
            f"Model '{model.card.name}' finds one position in each frame of a film, not many in an image. "
            "Apply it to a film, or choose another model.",
        )
    check_result_fits(image)
    pixels = NormalisedImage(model, image)
    maps = np.zeros((len(model.card.classes), *image.shape), np.float32)

    def keep(tile: Tile, found: Tensor) -> None:
        maps[(slice(None), *tile.write)] = found.float().cpu().numpy()[(slice(None), *tile.within)]

    problem = yield from predict_tiles(
        model, pixels, image.shape, keep, tile_size=tile_size, device=device, stop=stop
    )
    lowest = model.card.locate.threshold if threshold is None else threshold
    peaks = find_peaks(maps, lowest, model.card.locate.sigma)
    result = LocatedPositions(peaks.positions, peaks.values, peaks.heights, maps, pixels.notes)
    if problem is not None:
        raise PredictionInterrupted(problem, result) from problem
    return result


def locate_in_frames(
    model: Model,
    film: Sequence[CleanImage],
    *,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Progress, None, LocatedFrames]:
    """Find one position in each frame of a film.

    A model of heat maps gives the highest peak of each frame. One that gives positions directly, and was
    trained on turned and mirrored pictures, looks at each frame in the eight ways in which a square can be
    turned and mirrored. The mean of its answers was 12 to 24 % nearer to the truth than one of them, on
    frames that training had not seen (benchmarks/locate_bead.py).

    Parameters
    ----------
    film
        Frames, read one after the other; `napari_convnet.samples.Film` makes them of an array.
    stop
        Looked at after every frame or batch of frames; what is done is returned.

    Raises
    ------
    UserError
        CN-106 when the model does not fit a frame, or was trained on smaller frames.
    """
    if model.card.task == "locate" and model.card.locate.mode == "heat_map":
        return (yield from _highest_peaks(model, film, device, stop))
    use_all_cores()
    chosen = choose_device(device)
    network = model.network.to(chosen).eval()
    normalisation, size = normalisation_of(model), model.card.input_size[0]
    orientations = model.card.locate.orientations
    positions, spreads, notes = [np.empty((0, 2))], [np.empty(0)], []
    for start in range(0, len(film), _BATCH):
        patches, middles = [], []
        for frame in film[start : start + _BATCH]:
            _check_frame(model, frame, size)
            notes += frame.notes
            patches.append(frame_patch(normalisation.apply(frame.pixels), size))
            middles.append(patch_middle(frame.shape, size))
        with torch.inference_mode():
            seen = torch.from_numpy(np.stack(patches)).to(chosen)
            looks = np.stack([_look(network, seen, turn) for turn in range(orientations)])
        positions.append(looks.mean(0) + np.array(middles))
        spreads.append(np.sqrt(looks.var(0).sum(1)))
        done = start + len(patches)
        yield Progress(done=done, total=len(film), text=f"{done} of {len(film)} frames located")
        if stop is not None and stop.is_set():
            break
    spread = np.concatenate(spreads) if orientations > 1 else np.nan * np.concatenate(spreads)
    confidence = (1 / (1 + spread)).astype(np.float32)
    return LocatedFrames(np.concatenate(positions), confidence, tuple(dict.fromkeys(notes)))


def _highest_peaks(
    model: Model, film: Sequence[CleanImage], device: str, stop: threading.Event | None
) -> Generator[Progress, None, LocatedFrames]:
    positions, heights, notes = [], [], []
    for done, frame in enumerate(film, start=1):
        found = run(locate_positions(model, frame, device=device))
        notes += found.notes
        is_found = len(found.positions) > 0
        positions.append(found.positions[0] if is_found else np.full(2, np.nan))
        heights.append(found.confidence[0] if is_found else 0.0)
        yield Progress(done=done, total=len(film), text=f"{done} of {len(film)} frames located")
        if stop is not None and stop.is_set():
            break
    found_in = np.array(positions).reshape(-1, 2)
    return LocatedFrames(found_in, np.array(heights, np.float32), tuple(dict.fromkeys(notes)))


def _look(network: nn.Module, patches: Tensor, turn: int) -> np.ndarray:
    """Return positions ``(N, 2)``, in pixels from the patch's centre, as seen in one of eight orientations."""
    answer = network(turned(patches, turn))
    answer = (answer.flip(1) if is_transposed(turn) else answer).double().cpu().numpy()
    answer[:, mirrored_axes(turn)] *= -1
    return answer


def _check_frame(model: Model, frame: CleanImage, size: int) -> None:
    check_model_fits(model, "locate", frame)
    if max(frame.shape) > size:
        raise UserError(
            "CN-106",
            f"Model '{model.card.name}' was trained on frames of up to {size} x {size} pixels; '{frame.name}' "
            f"has {frame.shape[0]} x {frame.shape[1]}. Crop the film around what is to be located.",
        )
