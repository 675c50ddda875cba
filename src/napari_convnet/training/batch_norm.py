"""Batch norms' statistics, measured afresh where training has taken too few steps to follow."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from napari_convnet.networks import learning_batch_norms

#: After this many steps an epoch's own running averages (momentum 0.1) have forgotten the old network.
ENOUGH_STEPS = 20
#: Batches that give a mean and a variance worth having.
_BATCHES = 8


def remeasure_batch_norms(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics by those of the present weights on a few training batches.

    The running averages lag behind by about ten steps. With 30 cells that is five epochs, in which
    the network would be measured with statistics of a network that it no longer is.

    Parameters
    ----------
    module
        Ends in evaluation mode; frozen batch norms keep what they came with.
    batches
        Inputs as the network gets them in training; at most 8 are taken.

    References
    ----------
    Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", https://arxiv.org/abs/2105.07576, section 3.
    """
    norms = learning_batch_norms(module)
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    module.eval()  # no dropout while measuring
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # torch's way to say: plain mean over all batches
    with torch.no_grad():
        for inputs in itertools.islice(batches, _BATCHES):
            module(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.eval()
