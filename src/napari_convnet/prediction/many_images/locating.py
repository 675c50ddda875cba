"""Image files and films in which positions are found."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_convnet.exchange.result_files import picture_bytes
from napari_convnet.images import ImageNote
from napari_convnet.prediction.many_images.kinds import Kind
from napari_convnet.prediction.many_images.position_pictures import draw_positions
from napari_convnet.prediction.many_images.results import ClassColumns, ImageResult
from napari_convnet.prediction.many_images.sources import (
    FrameFolder,
    Source,
    open_source,
    takes_films,
)
from napari_convnet.prediction.positions import locate_in_frames, locate_positions
from napari_convnet.progress import Progress, told_as

_COLUMNS = ("frame", "y", "x", "class", "confidence", "y_um", "x_um")

#: Number of an image or frame, and what is there: positions ``(N, 2)``, class values, confidence.
Found = tuple[int, np.ndarray, np.ndarray, np.ndarray]


class Locating(Kind):
    """Writes ``STEM_positions.png`` and ``positions.csv``."""

    table, name_column = "positions.csv", "image"

    @property
    def summary_columns(self) -> tuple[str, ...]:
        """Positions by class, and how sure the network was."""
        return ("frames", *ClassColumns(self.names).counts, "mean_confidence")

    def made_from(self, path: Path) -> Sequence[Path]:
        """Return the file, or the frames of a folder."""
        return FrameFolder(path).files if path.is_dir() else (path,)

    def shown(self, path: Path) -> str:
        """Return the name of the file or folder."""
        return path.name

    def apply_to(self, path: Path) -> Generator[Progress, None, ImageResult]:
        """Find the positions of one image or film."""
        source = open_source(path, is_film=takes_films(self.model))
        found, notes = yield from self._locate(source)
        if not found:  # stopped
            return ImageResult({})
        values = np.concatenate([part[2] for part in found])
        confidence = np.concatenate([part[3] for part in found])
        summary = {"frames": len(source.frames)} | ClassColumns(self.names).count(values)
        if np.isfinite(confidence).any():
            summary["mean_confidence"] = float(np.nanmean(confidence, dtype=float))
        picture = picture_bytes(draw_positions(source, found, self.model))
        files = {f"{path.stem}_positions.png": picture}
        return ImageResult(summary, _COLUMNS, list(self._rows(source, found)), files, notes)

    def _locate(
        self, source: Source
    ) -> Generator[Progress, None, tuple[list[Found], tuple[ImageNote, ...]]]:
        found: list[Found] = []
        notes: list[ImageNote] = []
        if self.model.card.locate.mode == "patch":
            result = yield from locate_in_frames(
                self.model, source.frames, device=self.device, stop=self.stop
            )
            for frame, position in enumerate(result.positions):
                sure = result.confidence[frame, np.newaxis]
                found.append((frame, position[np.newaxis], np.ones(1, int), sure))
            return found, result.notes
        n = len(source.frames)
        for frame, image in enumerate(source.frames):
            steps = locate_positions(self.model, image, device=self.device, stop=self.stop)
            result = yield from (steps if n == 1 else told_as(steps, _as_frame(frame, n)))
            found.append((frame, result.positions, result.values, result.confidence))
            notes += result.notes
            if self.stop is not None and self.stop.is_set():
                break
        return found, tuple(notes)

    def _rows(self, source: Source, found: Sequence[Found]) -> Iterator[list]:
        size = source.pixel_size_um
        for frame, positions, values, confidence in found:
            for (y, x), value, sure in zip(positions, values, confidence, strict=True):
                physical = (f"{y * size:.5f}", f"{x * size:.5f}") if size else ("", "")
                number = frame if source.is_film else ""
                yield [
                    number, f"{y:.4f}", f"{x:.4f}", self.names[value - 1], f"{sure:.4f}", *physical
                ]  # fmt: skip


def _as_frame(frame: int, n: int):
    """Return how the progress in one frame is told as that of the film."""

    def tell(event: Progress) -> Progress:
        done = round(100 * (frame + event.share))
        return Progress(done=done, total=100 * n, text=f"frame {frame + 1:,} of {n:,}")

    return tell
