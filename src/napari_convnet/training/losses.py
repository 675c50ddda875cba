"""Losses of classes, for whole patches and for pixels alike; what is not annotated (-1) never counts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def class_loss(
    kind: str,
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    gamma: float = 2.0,
) -> Tensor:
    """Return the mean loss over what is annotated.

    Parameters
    ----------
    kind
        ``"cross_entropy"`` (of two classes: the binary cross-entropy of their difference);
        ``"focal"``: cross-entropy times ``(1 - p)**gamma``, p = probability of the true class;
        ``"mean_squared_error"`` between probabilities and 0 or 1 (the Brier score over K);
        ``"dice"``: 1 - mean over the classes present of the soft Dice coefficient of the batch.
    logits
        ``(N, K)`` or ``(N, K, Y, X)`` float32.
    targets
        ``(N,)`` or ``(N, Y, X)`` int64 class indices, -1 = not annotated.
    weights
        ``(K,)`` how much each class counts; dice has none, as every class counts the same there.
    gamma
        Of the focal loss.

    References
    ----------
    Focal: Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 4; Dice: Milletari et al. 2016,
    https://arxiv.org/abs/1606.04797.
    """
    if kind == "cross_entropy":
        if targets.ndim > 1 and logits.is_cuda and torch.are_deterministic_algorithms_enabled():
            return _weighted_mean(-_of_target(logits.log_softmax(1), targets), targets, weights)
        return F.cross_entropy(logits, targets, weight=weights, ignore_index=-1)
    if kind == "focal":
        chance = _of_target(logits.log_softmax(1), targets)
        return _weighted_mean(-chance * (1 - chance.exp()) ** gamma, targets, weights)
    share = logits.softmax(1)
    truth = _one_hot(targets, logits)
    if kind == "mean_squared_error":
        return _weighted_mean((share - truth).square().mean(1), targets, weights)
    share = share * (targets >= 0).unsqueeze(1)
    over = (0, *range(2, logits.ndim))
    both, either = (share * truth).sum(over), (share + truth).sum(over)
    present = truth.sum(over) > 0
    dice = (2 * both + 1) / (either + 1)
    return 1 - (dice * present).sum() / present.sum().clamp(min=1)


def _one_hot(targets: Tensor, logits: Tensor) -> Tensor:
    """Return 1 at the true class and 0 elsewhere, 0 everywhere where nothing is annotated."""
    classes = torch.arange(logits.shape[1], device=logits.device)
    classes = classes.view(1, -1, *[1] * (logits.ndim - 2))
    return (targets.unsqueeze(1) == classes).to(logits.dtype)


def _of_target(values: Tensor, targets: Tensor) -> Tensor:
    """Pick the true class's value by a product: unlike an index, its gradient is repeatable on a GPU."""
    return (values * _one_hot(targets, values)).sum(1)


def _weighted_mean(losses: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    known = targets >= 0
    counts = known.to(losses.dtype)
    if weights is not None:
        counts = counts * weights[targets.clamp(min=0)]
    return (losses * counts).sum() / counts.sum().clamp(min=torch.finfo(losses.dtype).tiny)
