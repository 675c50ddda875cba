"""Positions compared with the truth: how many are found, and how exactly."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

import numpy as np

from napari_convnet.evaluation.over_images import as_part, interval_over_images, measured_images
from napari_convnet.folders import shown_name
from napari_convnet.images import CleanImage
from napari_convnet.model_file import Model
from napari_convnet.prediction import locate_in_frames, locate_positions
from napari_convnet.progress import Progress
from napari_convnet.samples.positions import TOLERANCE
from napari_convnet.scores import PositionMatches, match_positions
from napari_convnet.training.measured_positions import MeasuredPositions


def evaluate_positions(
    truth: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    tolerance: float,
    pixel_size_um: float | None = None,
) -> dict[str, Any]:
    """Compare located positions with true ones, image by image.

    Parameters
    ----------
    truth, found
        ``(N, 2)`` rows and columns in pixels, one array an image.
    tolerance
        Distance in pixels up to which a position counts as found.

    Returns
    -------
    dict
        `PositionMatches.as_dict` of all images together, with the number of images.
    """
    parts = [match_positions(t, f, tolerance) for t, f in zip(truth, found, strict=True)]
    together = PositionMatches.together(parts)
    return {
        "data": {"images": len(parts)},
        **together.as_dict(pixel_size_um),
        "recall_interval_over_images": interval_over_images([part.recall for part in parts]),
        "precision_interval_over_images": interval_over_images([part.precision for part in parts]),
    }


def evaluate_marked(
    model: Model,
    parts: Iterable[tuple[CleanImage, np.ndarray, np.ndarray]],
    names: Sequence[str],
    *,
    pixel_size_um: float | None = None,
    device: str = "auto",
) -> Generator[Progress, None, dict[str, Any]]:
    """Locate positions in images on which every one is marked, and compare.

    Parameters
    ----------
    parts
        Images, or frames and planes of images, one after the other, each with its true positions ``(N, 2)``, rows
        and columns in pixels, and their class values ``(N,)``, 0 = of any class.
    names
        Of the image that each part is from.

    Returns
    -------
    dict
        `PositionMatches.as_dict` of all images together, of each class where there are several, and the error of
        the number of positions a part; where there is one position a part, errors are those of all, however large.
    """
    card = model.card
    tolerance = 2 * card.locate.sigma if card.locate.sigma else TOLERANCE
    matches: list[list[PositionMatches]] = [[] for _ in card.classes]
    errors: list[np.ndarray] = []
    for number, (_, (image, centres, values)) in enumerate(zip(names, parts, strict=True)):
        at, found = yield from as_part(_find(model, image, device), number, len(names))
        for value, of_class in enumerate(matches, start=1):
            wanted = centres[(values == value) | (values == 0)]
            of_class.append(match_positions(wanted, at[found == value], tolerance))
        if len(centres) == len(at) == 1:
            errors.append(at - centres)
    together = [match for of_class in matches for match in of_class]
    report = {
        "data": {"images": len(set(names))},
        **PositionMatches.together(together).as_dict(pixel_size_um),
        "mean_absolute_count_error": round(
            float(np.mean([abs(m.n_found - m.n_true) for m in together])), 6
        ),
        "measured": {**measured_images([shown_name(n) for n in dict.fromkeys(names)]),
                     "intervals": "95 %: Wilson"},
    }  # fmt: skip
    if len(matches) > 1:
        report["classes"] = {
            entry.name: PositionMatches.together(of_class).as_dict(pixel_size_um)
            for entry, of_class in zip(card.classes, matches, strict=True)
        }
    if len(errors) == len(names):  # one a frame: no error is left out for being too large
        report |= MeasuredPositions(np.concatenate(errors), tolerance).as_dict()
        error = report["root_mean_square_error_pixels"]
        report["root_mean_square_error_um"] = (
            round(error * pixel_size_um, 6) if pixel_size_um else None
        )
    return report


def _find(
    model: Model, image: CleanImage, device: str
) -> Generator[Progress, None, tuple[np.ndarray, np.ndarray]]:
    """Return positions ``(N, 2)`` and their class values ``(N,)``."""
    if model.card.locate.mode == "patch":
        frames = yield from locate_in_frames(model, [image], device=device)
        return frames.positions, np.ones(1, int)
    found = yield from locate_positions(model, image, device=device)
    return found.positions, found.values
