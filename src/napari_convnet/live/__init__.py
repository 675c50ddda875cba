"""Live training: a network that learns while strokes are still painted, and shows what it thinks of what is in view."""

from __future__ import annotations

from napari_convnet.live.events import (
    RECENT_STROKES,
    InView,
    LivePart,
    LiveSource,
    LiveStrokes,
    Looked,
    Resting,
    StrokesJoined,
    WaitingForStrokes,
)

__all__ = [
    "RECENT_STROKES",
    "InView",
    "LivePart",
    "LiveSource",
    "LiveStrokes",
    "Looked",
    "Resting",
    "StrokesJoined",
    "WaitingForStrokes",
]
