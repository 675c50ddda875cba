"""A training that breaks off after an epoch still gives the best model until then."""

import numpy as np
import pytest
import torch

from napari_convnet import (
    AnnotatedObjects,
    ClassificationSet,
    TrainingSettings,
    clean_image,
    make_classes,
    run,
    train,
)
from napari_convnet.training import EpochFinished, TrainingInterrupted


@pytest.fixture
def samples():
    random = np.random.default_rng(0)
    centres = random.uniform(20, 180, (40, 2))
    image = clean_image(random.normal(size=(200, 200)), "YX")
    annotated = AnnotatedObjects(image, centres, np.arange(40) % 2 + 1)
    return ClassificationSet.from_objects([annotated], make_classes(["a", "b"]), patch_size=16)


def break_off_at(step, error, monkeypatch):
    """Make the optimiser raise at its k-th step, as a full graphics card would."""
    steps, real = [], torch.optim.AdamW.step

    def failing(optimiser, *arguments, **options):
        steps.append(1)
        if len(steps) == step:
            raise error
        return real(optimiser, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", failing)


def follow(steps, epochs):
    epochs.extend(event for event in steps if isinstance(event, EpochFinished))


@pytest.mark.parametrize(
    "error", [torch.cuda.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("bad")]
)
def test_the_best_model_until_then_is_kept(samples, monkeypatch, error):
    settings = TrainingSettings(epochs=6, batch_size=8)
    per_epoch = samples.batches_per_epoch(8)
    break_off_at(3 * per_epoch + 1, error, monkeypatch)
    epochs = []
    with pytest.raises(TrainingInterrupted) as caught:
        follow(train(samples, settings=settings), epochs)
    assert caught.value.__cause__ is error
    best = [epoch for epoch in epochs if epoch.is_best][-1]
    assert caught.value.epoch == best.epoch
    # It is the very model that a training of so many epochs would have given.
    monkeypatch.undo()
    assert len(epochs) == 3
    assert caught.value.model.card.scores["best_epoch"] == best.epoch
    logits = caught.value.model.network(torch.zeros(1, 1, 16, 16))
    assert torch.isfinite(logits).all()


def test_before_the_first_epoch_there_is_nothing_to_keep(samples, monkeypatch):
    break_off_at(1, RuntimeError("bad"), monkeypatch)
    with pytest.raises(RuntimeError, match="bad"):
        run(train(samples, settings=TrainingSettings(epochs=2)))
