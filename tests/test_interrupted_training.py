"""Trainings that break off: the best model until then, smaller batches, pauses, and going on to the bit."""

import os
import signal
import subprocess
import sys
import threading
import time

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
from napari_convnet.errors import UserError
from napari_convnet.progress import Progress
from napari_convnet.project import Project
from napari_convnet.samples import AnnotatedPixels, SegmentationSet
from napari_convnet.training import (
    BatchFinished,
    BatchSizeReduced,
    Checkpoint,
    EpochFinished,
    Paused,
    TrainingInterrupted,
    repeat_run,
)
from training_helpers import listen

SETTINGS = TrainingSettings(epochs=6, batch_size=8, device="cpu")


@pytest.fixture
def samples():
    return make_samples()


def make_samples():
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
    settings = TrainingSettings(epochs=6, batch_size=8, reduce_batch_on_out_of_memory=False)
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


SMALL = {"width": 4, "blocks": 1}


def told(events):
    """Return everything that the curves show, and nothing that depends on the clock."""
    return [
        (e.epoch, e.training_loss, e.validation_loss, e.score, e.learning_rate, e.is_best)
        for e in events if isinstance(e, EpochFinished)
    ]  # fmt: skip


def same_weights(one, other):
    mine, others = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in mine.items())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["card", "python", "cpu"],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 7])
def test_memory_that_runs_out_halves_the_batch_and_says_so(samples, monkeypatch, error, step):
    break_off_at(step, error, monkeypatch)
    settings = TrainingSettings(epochs=3, batch_size=8)
    events, model = listen(train(samples, settings=settings, network_settings=SMALL))
    reduced = [event for event in events if isinstance(event, BatchSizeReduced)]
    assert [event.batch_size for event in reduced] == [4]
    assert [event.epoch for event in events if isinstance(event, EpochFinished)] == [1, 2, 3]
    last = [event for event in events if isinstance(event, BatchFinished)][-1]
    assert last.done == last.total == 3 * samples.batches_per_epoch(4)
    assert "8 samples a step" in model.card.scores["warning"]
    assert model.card.scores["batch_size"] == 4


def test_memory_that_runs_out_while_measuring_measures_fewer_at_once(samples, monkeypatch):
    limit = 2
    real = torch.nn.Linear.forward

    def forward(layer, inputs):
        if torch.is_inference_mode_enabled() and len(inputs) > limit:
            raise torch.OutOfMemoryError("too many")
        return real(layer, inputs)

    settings = TrainingSettings(epochs=2, batch_size=8, augment=False)
    without, expected = listen(train(samples, settings=settings, network_settings=SMALL))
    monkeypatch.setattr(torch.nn.Linear, "forward", forward)
    events, model = listen(train(samples, settings=settings, network_settings=SMALL))
    assert any(isinstance(event, BatchSizeReduced) for event in events)
    # What is learned does not change, nor what is measured but for the order of sums.
    assert same_weights(model, expected)
    for mine, others in zip(told(events), told(without), strict=True):
        assert mine == pytest.approx(others)


def test_a_batch_of_one_cannot_be_halved(samples, monkeypatch):
    break_off_at(1, MemoryError(), monkeypatch)
    settings = TrainingSettings(epochs=1, batch_size=1)
    with pytest.raises(MemoryError):
        run(train(samples, settings=settings, network_settings=SMALL))


@pytest.mark.parametrize("error", [KeyError("patch"), StopIteration(), OSError("disk")])
def test_data_that_cannot_be_read_leave_the_best_model(samples, monkeypatch, error):
    batches = ClassificationSet.training_batches
    calls = []

    def failing(self, *arguments, **options):
        calls.append(1)
        if len(calls) > 6:  # batch norms are measured with batches of their own
            raise error
        return batches(self, *arguments, **options)

    monkeypatch.setattr(ClassificationSet, "training_batches", failing)
    with pytest.raises(TrainingInterrupted) as caught:
        run(train(samples, settings=TrainingSettings(epochs=9), network_settings=SMALL))
    assert caught.value.epoch >= 1


def test_a_pause_holds_the_training_and_does_not_count(samples):
    pause = threading.Event()
    paused = []

    def react(event):
        if isinstance(event, BatchFinished) and event.done == 3:
            pause.set()
        if isinstance(event, Paused):
            paused.append(event.done)
            if len(paused) == 5:
                pause.clear()

    settings = TrainingSettings(epochs=3, batch_size=8)
    began = time.monotonic()
    kept = []
    steps = train(samples, settings=settings, network_settings=SMALL, pause=pause, keep=kept.append)
    events, model = listen(steps, react)
    waited = time.monotonic() - began
    assert paused == [3] * 5
    assert [checkpoint.step for checkpoint in kept] == [3]
    assert model.card.scores["seconds"] < waited - 0.7  # five looks of 0.2 s did not count
    straight, other = listen(train(samples, settings=settings, network_settings=SMALL))
    assert told(events) == told(straight)
    assert same_weights(model, other)


def test_a_stop_ends_a_pause(samples):
    pause, stop = threading.Event(), threading.Event()
    pause.set()
    steps = train(samples, network_settings=SMALL, pause=pause, stop=stop)
    _, model = listen(steps, lambda event: stop.set() if isinstance(event, Paused) else None)
    assert model.card.scores["ended_by"] == "stopped"
    assert model.card.scores["steps"] == 1


def pixel_samples():
    random = np.random.default_rng(0)
    image = random.normal(size=(64, 64)).astype(np.float32)
    labels = (image > 0).astype(np.uint8) + 1
    annotated = AnnotatedPixels(clean_image(image, "YX"), labels)
    return SegmentationSet.from_annotations([annotated], make_classes(["a", "b"]), patch_size=16)


OPTIONS = {
    "as it is": {},
    "sgdm, step": {"solver": "sgdm", "schedule": "step", "drop_period": 2, "momentum": 0.8},
    "traingdx": {"solver": "traingdx", "learning_rate": 0.01},
    "rmsprop, plateau": {"solver": "rmsprop", "schedule": "plateau", "drop_period": 1},
    "within": {"validate_unit": "iterations", "validate_every": 2, "weights_returned": "best"},
    "balanced": {
        "balance": "balanced_sampling",
        "shuffle": "once",
        "bias_learning_rate_factor": 2.0,
    },
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("stop_at", [5, 9])
def test_a_training_that_was_stopped_goes_on_to_the_bit(samples, options, stop_at):
    settings = TrainingSettings(epochs=4, batch_size=8, device="cpu", **options)
    network = {"width": 4, "blocks": 1, "dropout": 0.3}
    straight, expected = listen(train(samples, settings=settings, network_settings=network))
    kept, stop = [], threading.Event()

    def react(event):
        if isinstance(event, BatchFinished) and event.done == stop_at:
            stop.set()

    steps = train(
        samples, settings=settings, network_settings=network, stop=stop,
        keep=lambda checkpoint: kept.append(checkpoint.to_bytes()),
    )  # fmt: skip
    before, _ = listen(steps, react)
    checkpoint = Checkpoint.from_bytes(kept[-1])
    assert checkpoint.step == stop_at
    # Network and settings come from the checkpoint.
    after, model = listen(train(samples, resume_from=checkpoint))
    n_whole = stop_at // samples.batches_per_epoch(8)
    assert told(before)[:n_whole] + told(after) == told(straight)
    losses = [
        [e.loss for e in es if isinstance(e, BatchFinished)] for es in (before, after, straight)
    ]
    assert losses[0] + losses[1] == losses[2]
    assert same_weights(model, expected)
    for key in ("validation", "best_epoch", "best_step", "steps"):
        assert model.card.scores[key] == expected.card.scores[key]


@pytest.mark.parametrize("moment", ["while an epoch is measured", "between two epochs"])
def test_a_stop_after_the_last_batch_of_an_epoch_can_go_on_too(samples, moment):
    settings = TrainingSettings(epochs=4, batch_size=8, device="cpu")
    straight, expected = listen(train(samples, settings=settings, network_settings=SMALL))
    kept, stop = [], threading.Event()

    def react(event):
        is_between = isinstance(event, EpochFinished)
        if event.done == 2 * samples.batches_per_epoch(8) and (
            is_between if "between" in moment else type(event) is Progress
        ):
            stop.set()

    steps = train(samples, settings=settings, network_settings=SMALL, stop=stop, keep=kept.append)
    before, _ = listen(steps, react)
    assert stop.is_set()
    assert [checkpoint.step for checkpoint in kept] == [2 * samples.batches_per_epoch(8)]
    after, model = listen(train(samples, resume_from=kept[-1]))
    assert told(before) + told(after) == told(straight)
    assert same_weights(model, expected)


def test_a_segmentation_goes_on_to_the_bit():
    samples, kept = pixel_samples(), []
    settings = TrainingSettings(epochs=3, batch_size=8, device="cpu")
    network = {"width": 4, "levels": 1}
    straight, expected = listen(train(samples, settings=settings, network_settings=network))
    steps = train(
        samples, settings=settings, network_settings=network, keep=kept.append, keep_seconds=0
    )
    for event in steps:
        if isinstance(event, EpochFinished):
            break
    after, model = listen(train(samples, resume_from=kept[-1]))
    assert told(after) == told(straight)
    assert same_weights(model, expected)


_CHILD = """
import sys
from test_interrupted_training import SETTINGS, SMALL, make_samples
from napari_convnet import train
from napari_convnet.progress import Progress
from napari_convnet.project import Project
from napari_convnet.training import EpochFinished, checkpoint

checkpoint._SHARE_OF_TIME = 0  # after every batch, however long writing takes here
project = Project.create(sys.argv[1], sys.argv[2])
run_id = project.start_run("classify", "convnet", {}, {})
keep = lambda checkpoint: project.save_checkpoint(run_id, checkpoint.step, checkpoint.to_bytes())
steps = train(
    make_samples(), settings=SETTINGS, network_settings=SMALL, keep=keep, keep_seconds=0
)
for event in steps:
    if isinstance(event, EpochFinished):
        print(event.epoch, flush=True)
        if event.epoch == 3:
            sys.stdin.read()
"""


def test_a_killed_training_goes_on_from_its_project_to_the_bit(samples, tmp_path):
    straight, expected = listen(train(samples, settings=SETTINGS, network_settings=SMALL))
    path, backups = tmp_path / "cells.convnet", tmp_path / "backups"
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, path, backups],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.path.dirname(__file__),
    ) as child:  # fmt: skip
        assert [child.stdout.readline().strip() for _ in range(3)] == ["1", "2", "3"]
        child.send_signal(signal.SIGKILL)
    with Project.open(path, backup_folder=backups) as project:
        (record,) = project.runs()
        assert record.outcome == "interrupted"
        checkpoint = Checkpoint.from_bytes(project.checkpoint(record.id))
        assert checkpoint.step == project.checkpoint_step(record.id)
        after, model = listen(train(samples, resume_from=checkpoint))
        project.finish_run(record.id, "finished", model.card.scores)
        assert project.checkpoint(record.id) is None
    assert told(after) == told(straight)[-len(told(after)) :]
    assert (
        checkpoint.step >= 1
    )  # on a busy machine, where writing takes long, it is kept less often
    assert len(told(after)) < 6  # how much less depends on how long keeping took
    assert same_weights(model, expected)


def test_a_checkpoint_of_other_samples_or_another_network_is_refused(samples):
    kept = []
    steps = train(
        samples, settings=SETTINGS, network_settings=SMALL, keep=kept.append, keep_seconds=0
    )
    while not kept:
        next(steps)
    other = samples.__class__(**{**vars(samples), "patches": samples.patches + 1})
    for arguments in ((other,), (samples, "mobilenet_v2")):
        with pytest.raises(UserError, match="cannot go on") as refused:
            run(train(*arguments, resume_from=kept[0]))
        assert refused.value.code == "CN-204"
    with pytest.raises(UserError, match="cannot go on"):
        run(train(samples, network_settings={"width": 8, "blocks": 1}, resume_from=kept[0]))


def test_damaged_bytes_are_no_checkpoint(samples):
    kept = []
    steps = train(
        samples, settings=SETTINGS, network_settings=SMALL, keep=kept.append, keep_seconds=0
    )
    while not kept:
        next(steps)
    data = bytearray(kept[0].to_bytes())
    data[-5] ^= 1
    for wrong in (bytes(data), bytes(data[:100]), b"nonsense"):
        with pytest.raises(UserError):
            Checkpoint.from_bytes(wrong)


def test_a_disk_that_is_full_does_not_end_the_training(samples):
    def keep(checkpoint):
        raise OSError(28, "No space left on device")

    settings = TrainingSettings(epochs=2)
    steps = train(samples, settings=settings, network_settings=SMALL, keep=keep, keep_seconds=0)
    model = run(steps)
    assert model.card.scores["epochs_trained"] == 2
    assert "cannot be resumed" in model.card.scores["warning"]


@pytest.mark.parametrize("how", ["to the end", "time limit", "stopped"])
def test_a_run_is_repeated_to_the_bit(samples, how):
    seconds = 1.0 if how == "time limit" else 0.0
    settings = TrainingSettings(
        epochs=4 if how == "to the end" else 2000, batch_size=8, max_seconds=seconds, device="cpu"
    )
    stop = threading.Event()

    def react(event):
        if how == "stopped" and isinstance(event, BatchFinished) and event.done == 7:
            stop.set()

    events, model = listen(
        train(samples, settings=settings, network_settings=SMALL, stop=stop), react
    )
    again, repeated = listen(repeat_run(model.card, samples))
    assert told(again) == told(events)
    assert same_weights(model, repeated)
    assert repeated.card.scores["steps"] == model.card.scores["steps"] > 1


def test_only_what_was_trained_on_repeats_a_run(samples):
    model = run(train(samples, settings=TrainingSettings(epochs=1), network_settings=SMALL))
    other = samples.__class__(**{**vars(samples), "patches": samples.patches + 1})
    with pytest.raises(UserError, match="changed since") as refused:
        run(repeat_run(model.card, other))
    assert refused.value.code == "CN-205"
    with pytest.raises(UserError, match="other weights"):
        run(repeat_run(model.card, samples, initial_weights=model.network.state_dict()))
