"""Memory that runs out with one sample in a step: smaller patches, said and kept in the record."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

from napari_convnet import TrainingSettings, run, train
from napari_convnet.errors import UserError
from napari_convnet.training import (
    BatchFinished,
    BatchSizeReduced,
    Checkpoint,
    EpochFinished,
    PatchSizeReduced,
    repeat_run,
)
from synthetic_pictures import blob_set
from test_interrupted_training import break_off_at, listen


@pytest.mark.parametrize(
    ("network", "options", "sizes"),
    [("unet", {"width": 4, "levels": 2}, [32, 16]), ("unet", {"width": 4, "levels": 3}, [32, 16]),
     ("segnet", {}, [32, 16]), ("unet", {"width": 4, "levels": 2}, None)],
)  # fmt: skip
def test_memory_that_runs_out_with_one_sample_halves_the_patch(
    network, options, sizes, monkeypatch
):
    limit = 16 * 16 if sizes else 0  # pixels that the memory of this machine takes for a step
    real = torch.nn.Conv2d.forward

    def forward(layer, inputs):
        if torch.is_grad_enabled() and inputs.shape[0] * inputs[0, 0].numel() > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(layer, inputs)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", forward)
    samples = replace(blob_set(), patch_size=64)
    settings = TrainingSettings(epochs=2, batch_size=2, device="cpu")
    steps = train(samples, network, settings, network_settings=options)
    if sizes is None:  # in the end no patch is smaller that it takes: the failure is told
        with pytest.raises(MemoryError, match="CUDA out of memory"):
            listen(steps)
        return
    events, model = listen(steps)
    assert [e.batch_size for e in events if isinstance(e, BatchSizeReduced)] == [1]
    assert [e.patch_size for e in events if isinstance(e, PatchSizeReduced)] == sizes
    assert [e.epoch for e in events if isinstance(e, EpochFinished)] == [1, 2]
    last = [e for e in events if isinstance(e, BatchFinished)][-1]
    smaller = replace(samples, patch_size=16)
    assert last.done == last.total == 2 * smaller.batches_per_epoch(1)
    scores = model.card.scores
    assert (scores["patch_size"], model.card.patch_size, model.card.input_size) == (
        16,
        16,
        (16, 16),
    )
    assert "patches of 64 pixels; trained with 16" in scores["warning"]
    assert scores["validation"]["n"] == samples.n_validation
    with pytest.raises(UserError, match="memory ran out during it") as refused:
        run(repeat_run(model.card, samples))
    assert refused.value.code == "CN-205"


def test_smaller_patches_are_kept_by_a_training_that_goes_on(monkeypatch):
    break_off_at(1, MemoryError(), monkeypatch)
    samples, kept, stop = blob_set(), [], threading.Event()
    settings = TrainingSettings(epochs=3, batch_size=1, device="cpu")
    small = {"width": 4, "levels": 1}

    def react(event):
        if isinstance(event, EpochFinished):
            stop.set()

    steps = train(
        samples,
        "unet",
        settings,
        network_settings=small,
        stop=stop,
        keep=kept.append,
        keep_seconds=0,
    )
    _, model = listen(steps, react)
    assert model.card.patch_size == 16
    resumed = run(train(samples, resume_from=Checkpoint.from_bytes(kept[-1].to_bytes())))
    assert resumed.card.patch_size == 16
    assert resumed.card.scores["epochs_trained"] == 3


def test_patches_stay_as_they_are_where_that_is_not_allowed(monkeypatch):
    error = MemoryError()
    break_off_at(1, error, monkeypatch)
    settings = TrainingSettings(epochs=1, batch_size=1, reduce_batch_on_out_of_memory=False)
    with pytest.raises(MemoryError) as raised:
        run(train(blob_set(), "unet", settings, network_settings={"width": 4, "levels": 1}))
    assert raised.value is error
