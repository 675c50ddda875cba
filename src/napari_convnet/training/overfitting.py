"""Over-fitting: the epoch at which training and validation part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Epochs over which losses are smoothed, and for which they must have stayed apart.
_WINDOW = 5
#: The validation loss must have risen by this share of its lowest value, and by so many times its noise.
_RISE, _NOISES = 0.05, 3.0


def overfits_since(
    training: Sequence[float | None], validation: Sequence[float | None]
) -> int | None:
    """Return the epoch (from 1) at which the losses part, or None if they do not.

    The validation loss is smoothed by a running median of five measurements; the epoch of its minimum
    is where the losses part, if since then, for five measurements or more,

    - the smoothed validation loss now is above the minimum by 5 % and by three times the noise of a
      median (the median absolute step from one measurement to the next tells the noise), and
    - the smoothed training loss has gone on falling.

    Parameters
    ----------
    training, validation
        Loss of each epoch so far; epochs without a measurement have None and are left out.
    """
    measured = [
        (epoch, t, v)
        for epoch, (t, v) in enumerate(zip(training, validation, strict=True), start=1)
        if t is not None and v is not None
    ]
    if len(measured) < 2 * _WINDOW:
        return None
    epochs = [epoch for epoch, _, _ in measured]
    learned, held = (np.array([m[k] for m in measured]) for k in (1, 2))
    smooth_learned, smooth_held = _running_median(learned), _running_median(held)
    lowest = int(smooth_held.argmin())
    if len(held) - 1 - lowest < _WINDOW:
        return None
    steps = np.abs(np.diff(held))
    noise = 1.4826 * np.median(steps) / np.sqrt(2) / np.sqrt(_WINDOW)
    rise = smooth_held[-1] - smooth_held[lowest]
    has_risen = rise > max(_RISE * smooth_held[lowest], _NOISES * noise)
    return epochs[lowest] if has_risen and smooth_learned[-1] < smooth_learned[lowest] else None


def advice(epoch: int) -> str:
    """Say what over-fitting is and what the courses advise against it."""
    return (
        f"Over-fitting since epoch {epoch}: the training loss still falls while the validation loss rises, "
        "so the network learns these samples by heart. Annotate more samples, augment them more, use "
        "dropout or a larger weight decay, a smaller network or frozen pretrained layers, or stop earlier "
        "(patience)."
    )


def _running_median(values: np.ndarray) -> np.ndarray:
    """Return medians over a centred window, which is cut off at both ends."""
    half = _WINDOW // 2
    return np.array(
        [np.median(values[max(0, k - half) : k + half + 1]) for k in range(len(values))]
    )
