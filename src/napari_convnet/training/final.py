"""What the network that a training gives is worth: measured once, in full, after the last epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_convnet.folders import shown_name
from napari_convnet.samples import ClassificationSet, TrainingSet
from napari_convnet.scores import (
    fit_temperature,
    log_softmax,
    measure_classifier,
    reliability,
)

#: Samples that go through the network at once.
_BATCH = 64


def final_scores(
    network: nn.Module, samples: TrainingSet, scores: Mapping[str, Any], device: torch.device
) -> tuple[dict[str, Any], float]:
    """Measure a classifier on its held-out samples, with intervals, and make its probabilities mean what they say.

    Parameters
    ----------
    network
        The best one, on the CPU, where it is left.
    scores
        What the training says of it.

    Returns
    -------
    tuple
        The scores, with more under ``"validation"``, and the temperature to divide logits by. Both as they
        were, and 1, where nothing is held out or the task is another one.
    """
    if not isinstance(samples, ClassificationSet) or not samples.n_validation:
        return dict(scores), 1.0
    try:
        truth, logits = _answers(network, samples, device)
    except (
        RuntimeError,
        MemoryError,
    ) as error:  # the model itself must not be lost for its figures
        reason = (
            f"Its intervals and its temperature could not be measured: {shown_name(str(error))}."
        )
        return {**scores, "warning": f"{scores.get('warning', '')} {reason}".strip()}, 1.0
    if not np.isfinite(logits).all():
        reason = "Its intervals and its temperature could not be measured: held-out samples give no valid numbers."
        return {**scores, "warning": f"{scores.get('warning', '')} {reason}".strip()}, 1.0
    temperature = fit_temperature(truth, logits)
    before = reliability(truth, np.exp(log_softmax(logits)))
    held = samples.split.validation
    names = samples.split.groups
    groups = None if names is None else [shown_name(str(name)) for name in names[held]]
    measured = measure_classifier(
        truth,
        np.exp(log_softmax(logits, temperature)),
        [info.name for info in samples.classes],
        groups,
        samples.split.group_kind,
    )
    report = measured.as_dict()
    report["calibration"] |= {
        "temperature": temperature,
        "expected_calibration_error_before": round(before.expected_error, 6),
        "measured_on": "on the same held-out samples that the temperature was chosen on",
    }
    warning = " ".join(filter(None, (scores.get("warning", ""), measured.warning)))
    return {**scores, "warning": warning, "validation": report}, temperature


def _answers(
    network: nn.Module, samples: ClassificationSet, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes ``(N,)`` of the held-out samples and their logits ``(N, K)`` float64."""
    truth, logits = [], []
    try:
        network.to(device).eval()
        with torch.inference_mode():
            for inputs, targets in samples.validation_batches(_BATCH):
                truth.append(targets.numpy())
                logits.append(network(inputs.to(device)).float().cpu().double().numpy())
    finally:
        network.cpu()
    return np.concatenate(truth), np.concatenate(logits)
