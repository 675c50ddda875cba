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

    The epoch with the lowest validation loss, smoothed by a running median of five measurements, is where
    the losses part, if five measurements or more have followed and

    - the median of the last five lies above that minimum by 5 % and by three times the noise of one
      measurement (the median step from one to the next tells the noise), and
    - the training loss, smoothed alike, has gone on falling.

    Parameters
    ----------
    training, validation
        Loss of each epoch so far; epochs without a measurement have None and are left out.

    Notes
    -----
    The thresholds were set on seeds 0 to 19 of made-up curves. On 20 other seeds (noise 0.03 on a loss of 0.3 that
    rises by 0.03 an epoch) 20 of 20 partings are found, whether at epoch 8 or 15; the epoch is right within 4 in 20
    and 19. Where the losses do not part it says so, at the end of 60 epochs, in 0 of 20 (falling to 0.3, noise 0.03)
    and 0 of 20 (level at 0.5, noise 0.05); asked after each of the 60 epochs, it says so at least once in 0 and 2 of
    20. ``pytest -s tests/test_training_options.py -k rates_of_the_rule`` prints and checks these.
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
    noise = 1.4826 * np.median(np.abs(np.diff(held))) / np.sqrt(2)
    rise = np.median(held[-_WINDOW:]) - smooth_held[lowest]
    has_risen = rise > max(_RISE * smooth_held[lowest], _NOISES * noise)
    if not has_risen or np.median(learned[-_WINDOW:]) >= smooth_learned[lowest]:
        return None
    start = max(0, lowest - _WINDOW // 2)
    return epochs[start + int(held[start : lowest + _WINDOW // 2 + 1].argmin())]


def advice(epoch: int) -> str:
    """Say what over-fitting is and what the courses advise against it."""
    return (
        f"Over-fitting since epoch {epoch}: the training loss still falls while the validation loss rises, "
        "so the network learns these samples by heart. Annotate more samples, augment them more, use "
        "dropout or a larger weight decay, a smaller network or frozen pretrained layers, or stop earlier "
        "(patience)."
    )


def _running_median(values: np.ndarray) -> np.ndarray:
    """Return medians over a centred window; at both ends over the first and the last whole one."""
    half = _WINDOW // 2
    middle = [np.median(values[k - half : k + half + 1]) for k in range(half, len(values) - half)]
    return np.array([*[middle[0]] * half, *middle, *[middle[-1]] * half])
