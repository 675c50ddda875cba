"""The background part of the instant preview: what the strokes of all images say of the part in view."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import replace

from napari_convnet.instant import (
    FeatureStore,
    PaintedPart,
    PreviewLearned,
    PreviewRequest,
    missing_strokes,
    prepare,
    preview_steps,
)
from napari_convnet.progress import Progress
from napari_convnet.widgets.project_strokes import (
    KnownStrokes,
    PaintedPlane,
    StrokeTask,
    openers,
)


def instant_steps(
    task: StrokeTask, store: FeatureStore, strokes: KnownStrokes, stop: threading.Event
) -> Generator[Progress, None, PreviewLearned | str | None]:
    """Make a preview; runs in the worker.

    Strokes in files that were not read yet join when what is in view has been shown without them.

    Returns
    -------
    PreviewLearned, str or None
        What is missing, in words, where nothing can be learned yet; None after a stop.
    """
    yield Progress(done=0, total=0, text="getting ready")
    prepare()
    if stop.is_set():
        return None
    yield Progress(done=0, total=0, text="looking at the strokes")
    request, later = _request(task, store, strokes.planes(task))
    result: PreviewLearned | str | None = None
    for painted in (request.painted, (*request.painted, *later)):
        missing = missing_strokes([value for part in painted for value in part.values])
        result = missing or result
        if not missing:
            result = yield from preview_steps(replace(request, painted=painted), store, stop)
        if stop.is_set() or not later:
            break
    return result


def _request(
    task: StrokeTask, store: FeatureStore, planes: Sequence[PaintedPlane]
) -> tuple[PreviewRequest, list[PaintedPart]]:
    """Return the request without strokes in files that are still to be read, and these."""
    now: list[PaintedPart] = []
    later: list[PaintedPart] = []
    for found in planes:
        is_closed = found.record.id not in task.opened
        for part in found.parts:
            (later if is_closed and not store.is_known(part) else now).append(part)
    return PreviewRequest(openers(task, planes), now, task.shown, task.window), later
