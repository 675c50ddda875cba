"""Annotations that are probably wrong: what models think of samples whose class they were never told."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_convnet.devices import choose_device
from napari_convnet.errors import UserError
from napari_convnet.model_file import Model
from napari_convnet.progress import Progress, told_as
from napari_convnet.samples import ClassificationSet, Split, choose_folds
from napari_convnet.settings import TrainingSettings
from napari_convnet.training import suggest_epochs, train

#: Samples are predicted so many at once.
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Suspects:
    """Samples that are probably annotated with the wrong class, the most probable one first.

    Parameters
    ----------
    indices
        ``(M,)`` of the samples.
    given, suggested
        ``(M,)`` class indices: the annotation, and what it probably should be.
    probabilities
        ``(N, K)`` float64 of all samples, from models that had not seen them.
    """

    indices: np.ndarray
    given: np.ndarray
    suggested: np.ndarray
    probabilities: np.ndarray

    @property
    def n_samples(self) -> int:
        """How many samples were examined."""
        return len(self.probabilities)


def find_suspects(
    samples: ClassificationSet,
    network: str | None = None,
    settings: TrainingSettings | None = None,
    *,
    network_settings: Mapping[str, Any] | None = None,
    initial_weights: Mapping[str, Tensor] | None = None,
    n_folds: int = 5,
    has_epochs: bool = False,
    stop: threading.Event | None = None,
) -> Generator[Progress, None, Suspects | None]:
    """Cross-validate the annotations of a training set: each is judged by a model that never saw it.

    Parameters
    ----------
    samples
        All of its samples are examined, whatever it holds out. Where they belong to at least ``n_folds`` groups
        (images, patients), a group is judged by a model that saw none of it.
    network, settings, network_settings, initial_weights
        As for `napari_convnet.train`; each of the models is trained so.
    n_folds
        Number of models; fewer where a class has fewer samples.
    has_epochs
        Whether the settings' number of epochs is meant; else it is chosen from the number of samples.
    stop
        Ends it, with None as the result.

    Yields
    ------
    Progress
        Steps of all the models together.

    Raises
    ------
    UserError
        CN-647 where a class has a single sample; those of `napari_convnet.train`.

    References
    ----------
    Confident learning: Northcutt, Jiang & Chuang 2021, https://doi.org/10.1613/jair.1.12125.
    """
    targets = samples.targets.numpy()
    folds = _choose_folds(samples, n_folds, (settings or TrainingSettings()).seed)
    n_folds = int(folds.max()) + 1
    probabilities = np.zeros((len(targets), len(samples.classes)))
    for fold in range(n_folds):
        part = replace(samples, split=_split(folds, fold))
        how = replace(settings or TrainingSettings(), weights_returned="last")
        if not has_epochs:
            how = replace(how, epochs=suggest_epochs(part, how.batch_size))
        steps = train(
            part, network, how, network_settings=network_settings, initial_weights=initial_weights,
            stop=stop, name="judge",
        )  # fmt: skip
        model = yield from told_as(steps, partial(_as_one_of, fold, n_folds))
        if stop is not None and stop.is_set():
            return None
        held = np.flatnonzero(folds == fold)
        probabilities[held] = _predict(model, samples.patches, held, how.device)
    return judge(targets, probabilities)


def judge(targets: np.ndarray, probabilities: np.ndarray) -> Suspects:
    """Find the annotations that unseen samples' probabilities contradict.

    Another class is suggested where it is at least as probable as it usually is on samples that are annotated with
    it, and more probable than the annotation: so that a class that is always doubtful is not suspected as a whole.

    Parameters
    ----------
    targets
        ``(N,)`` class indices.
    probabilities
        ``(N, K)``.
    """
    n_classes = probabilities.shape[1]
    usual = np.array([
        probabilities[targets == k, k].mean() if (targets == k).any() else np.inf for k in range(n_classes)
    ])  # fmt: skip
    own = probabilities[np.arange(len(targets)), targets]
    others = np.where(probabilities >= usual, probabilities, -1.0)
    others[np.arange(len(targets)), targets] = -1.0
    suggested = others.argmax(1)
    by = others[np.arange(len(targets)), suggested] - own
    found = np.flatnonzero(by > 0)
    order = found[np.argsort(-by[found], kind="stable")]
    return Suspects(order, targets[order], suggested[order], probabilities)


def _choose_folds(samples: ClassificationSet, n_folds: int, seed: int) -> np.ndarray:
    """Keep groups together where there are enough of them; a rare class makes fewer folds."""
    targets, groups = samples.targets.numpy(), samples.split.groups
    if groups is not None and len(np.unique(groups)) >= n_folds:
        with suppress(UserError):  # a class that only one group shows
            return choose_folds(targets, n_folds, seed, groups)
    rarest = int(np.bincount(targets)[np.unique(targets)].min())
    return choose_folds(targets, min(n_folds, max(2, rarest)), seed)


def _split(folds: np.ndarray, held: int) -> Split:
    """Return a split that trains on all folds but one and measures nothing: what is judged must choose nothing."""
    return Split(
        np.flatnonzero(folds != held), np.empty(0, np.int64), f"fold {held + 1} was left out"
    )


def _as_one_of(fold: int, n_folds: int, event: Progress) -> Progress:
    """Tell the progress of one of several trainings as that of all of them."""
    return Progress(
        done=fold * event.total + event.done, total=n_folds * event.total,
        text=f"model {fold + 1} of {n_folds}: {event.text}",
    )  # fmt: skip


def _predict(model: Model, patches: Tensor, held: np.ndarray, device: str) -> np.ndarray:
    where = choose_device(device)
    network = model.network.to(where).eval()
    found = []
    with torch.inference_mode():
        for chosen in torch.from_numpy(held).split(_BATCH):
            found.append(network(patches[chosen].to(where)).float().softmax(1).cpu().numpy())
    return np.concatenate(found)
