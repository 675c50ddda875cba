"""Instant preview: a shallow classifier on filter features, from the first strokes on.

It answers within a second or two, knows nothing but the painted pixels, and waits for a network to do better.
"""

from __future__ import annotations

from napari_convnet.instant.classifier import (
    PaintedPixels,
    PixelClassifier,
    fit_classifier,
    missing_strokes,
    prepare,
)
from napari_convnet.instant.feature_store import TILE, FeatureStore, PaintedPart, split_strokes
from napari_convnet.instant.features import Scale, compute_features, measure_scale
from napari_convnet.instant.preview import (
    PreviewLearned,
    PreviewPart,
    PreviewRequest,
    preview_steps,
)

__all__ = [
    "TILE",
    "FeatureStore",
    "PaintedPart",
    "PaintedPixels",
    "PixelClassifier",
    "PreviewLearned",
    "PreviewPart",
    "PreviewRequest",
    "Scale",
    "compute_features",
    "fit_classifier",
    "measure_scale",
    "missing_strokes",
    "prepare",
    "preview_steps",
    "split_strokes",
]
