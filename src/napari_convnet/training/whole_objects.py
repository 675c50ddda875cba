"""What a network is taught of whole objects: the class of each pixel, and how deep it lies in its object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_convnet.samples.instances import DEEPEST
from napari_convnet.training.measured import Measured, MeasuredClasses

#: How much depths count beside classes.
_WEIGHT = 5.0
#: Depths that are off by less than this are pulled in proportion to how far they are off, others all alike.
_BEND = 0.1


class ObjectObjective:
    """Classes as another objective teaches them, and depths by a smooth L1 loss where objects are known.

    Of the outputs ``(N, K + 1, Y, X)`` the last one is the depth; targets are those of `WholeObjectSet`.

    Parameters
    ----------
    classes
        Teaches and measures the first K outputs.

    References
    ----------
    Smooth L1: Girshick 2015, https://doi.org/10.1109/ICCV.2015.169.
    """

    def __init__(self, classes: Any) -> None:
        self._classes = classes

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of the classes and that of the depths."""
        return self._classes.loss(outputs[:, :-1], targets[:, 0]) + depth_loss(outputs, targets)

    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return right answers and answers, of the classes."""
        return self._classes.tally(outputs[:, :-1], targets[:, 0])

    def measurement(self) -> _ObjectMeasurement:
        """Begin to measure the held-out samples."""
        return _ObjectMeasurement(self._classes.measurement())


def depth_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return how far off depths are, as a mean over the pixels whose depth is known; 0 where none is.

    Parameters
    ----------
    outputs
        ``(N, K + 1, Y, X)`` float32, of which the last one is the depth from 0 to 1.
    targets
        ``(N, 2, Y, X)`` int64, of which the second is the depth in thousandths, -1 = not known.
    """
    known = (targets[:, 1] >= 0).to(outputs.dtype)
    wanted = targets[:, 1] / DEEPEST
    off = F.smooth_l1_loss(outputs[:, -1], wanted, beta=_BEND, reduction="none")
    return _WEIGHT * (off * known).sum() / known.sum().clamp(min=1)


@dataclass(frozen=True)
class MeasuredObjects(MeasuredClasses):
    """Scores of classes; ``depth_error`` is the mean distance of depths from the truth, of 1."""

    depth_error: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return all scores as JSON values."""
        return {**super().as_dict(), "depth_error": round(self.depth_error, 6)}


class _ObjectMeasurement:
    """The measurement of the classes, and the error of the depths."""

    def __init__(self, classes: Any) -> None:
        self._classes = classes
        self._loss_sum = self._error_sum = 0.0
        self._n_known = 0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        self._classes.add(outputs[:, :-1], targets[:, 0])
        known = targets[:, 1] >= 0
        n_known = int(known.sum())
        self._loss_sum += depth_loss(outputs, targets.to(outputs.device)).item() * n_known
        off = (outputs[:, -1].cpu() - targets[:, 1] / DEEPEST).abs()
        self._error_sum += float(torch.where(known, off, 0.0).sum())
        self._n_known += n_known

    @property
    def result(self) -> Measured:
        """Scores of the classes, with the loss of both."""
        found, n = self._classes.result, max(1, self._n_known)
        values = {**vars(found), "loss": found.loss + self._loss_sum / n}
        return MeasuredObjects(**values, depth_error=self._error_sum / n)
