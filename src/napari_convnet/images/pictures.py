"""An image as a picture that people look at."""

from __future__ import annotations

import numpy as np


def grey_to_rgb(image: np.ndarray) -> np.ndarray:
    """Stretch an image ``(Y, X)`` to ``(Y, X, 3)`` uint8; faint structures are lifted (gamma 0.6)."""
    low, high = np.percentile(image, (0.5, 99.8))
    stretched = np.clip((image - low) / max(1e-9, float(high - low)), 0, 1) ** 0.6
    return np.repeat((255 * stretched).astype(np.uint8)[..., np.newaxis], 3, axis=2)
