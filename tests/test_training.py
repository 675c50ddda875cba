"""Training learns, repeats, stops, keeps the best, and says why it ended."""

import threading

import numpy as np
import pytest
import torch

from napari_convnet import TrainingSettings, UserError, load_model, run, save_model, train
from napari_convnet.classes import make_classes
from napari_convnet.images import CleanImage, clean_image
from napari_convnet.networks import build_network
from napari_convnet.samples import AnnotatedPixels, SegmentationSet
from napari_convnet.scores import Scores
from napari_convnet.training import (
    BatchFinished,
    EpochFinished,
    StoppedEarly,
    TrainingStarted,
    suggest_epochs,
)
from napari_convnet.training.batch_norm import remeasure_batch_norms
from napari_convnet.training.best import Best, Mark
from napari_convnet.training.measured import MeasuredClasses
from napari_convnet.training.randomness import own_random
from synthetic_pictures import blob_set, shape_set
from training_helpers import listen

SMALL = {"width": 4, "blocks": 2}
QUICK = TrainingSettings(epochs=2, batch_size=16, device="cpu")


@pytest.fixture(scope="module")
def shapes():
    return shape_set(40)


def epochs_of(events):
    return [event for event in events if isinstance(event, EpochFinished)]


def weights_of(model):
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def same_weights(one, other):
    return all(
        torch.equal(tensor, weights_of(other)[name]) for name, tensor in weights_of(one).items()
    )


def test_disks_are_told_from_squares_after_a_few_epochs():
    settings = TrainingSettings(epochs=8, batch_size=16, learning_rate=5e-3)
    model = run(
        train(shape_set(240), settings=settings, network_settings={"width": 16, "blocks": 3})
    )
    unseen = shape_set(100, seed=1)
    with torch.inference_mode():
        right = model.network(unseen.patches).argmax(1) == unseen.targets
    assert right.float().mean() >= 0.9


def test_every_step_is_told_and_the_totals_are_right(shapes):
    events, _ = listen(train(shapes, settings=QUICK, network_settings=SMALL))
    started = events[0]
    assert isinstance(started, TrainingStarted)
    assert (started.n_training, started.n_validation) == (shapes.n_training, shapes.n_validation)
    batches = [event.done for event in events if isinstance(event, BatchFinished)]
    assert batches == list(range(1, 2 * started.batches_per_epoch + 1))
    assert all(event.total == len(batches) for event in events)
    assert [event.epoch for event in epochs_of(events)] == [1, 2]


def test_the_same_seed_gives_the_same_weights_bit_by_bit_and_another_seed_others(shapes):
    settings = [TrainingSettings(epochs=2, batch_size=16, seed=seed) for seed in (3, 3, 4)]
    first, again, other = (run(train(shapes, settings=each)) for each in settings)
    assert same_weights(first, again)
    assert not same_weights(first, other)


def test_a_worker_thread_trains_the_same_weights_as_the_main_thread(shapes):
    found = []
    steps = train(shapes, settings=QUICK, network_settings=SMALL)
    worker = threading.Thread(target=lambda: found.append(run(steps)))
    worker.start()
    worker.join()
    assert same_weights(found[0], run(train(shapes, settings=QUICK, network_settings=SMALL)))


def test_the_callers_random_numbers_are_untouched(shapes):
    torch.manual_seed(11)
    np.random.seed(11)
    expected = torch.rand(3), np.random.random(3)
    torch.manual_seed(11)
    np.random.seed(11)
    run(train(shapes, settings=QUICK, network_settings={**SMALL, "dropout": 0.5}))
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.random(3), expected[1])


def test_own_random_repeats_for_a_step_and_differs_between_steps():
    drawn = []
    for step in (1, 1, 2):
        with own_random(5, step, torch.device("cpu")):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_saved_and_loaded_the_model_answers_identically(shapes, tmp_path):
    model = run(train(shapes, settings=QUICK, network_settings=SMALL))
    save_model(model, tmp_path / "shapes.safetensors")
    loaded = load_model(tmp_path / "shapes.safetensors")
    with torch.inference_mode():
        assert torch.equal(model.network(shapes.patches), loaded.network(shapes.patches))
    assert loaded.card.normalisation == model.card.normalisation
    assert loaded.card.scores["validation"] == model.card.scores["validation"]


@pytest.mark.parametrize("stop_at", [1, 3])
def test_stopping_keeps_a_usable_model(shapes, stop_at):
    stop = threading.Event()
    settings = TrainingSettings(epochs=50, batch_size=16)
    steps = train(shapes, settings=settings, network_settings=SMALL, stop=stop)
    batches = []

    def stop_after_some(event):
        if isinstance(event, BatchFinished):
            batches.append(event)
        if len(batches) == stop_at:
            stop.set()

    events, model = listen(steps, stop_after_some)
    assert len(batches) == stop_at
    assert model.card.scores["epochs_trained"] == len(epochs_of(events)) >= 1
    assert torch.isfinite(model.network(shapes.patches)).all()
    assert model.card.scores["validation"]["n"] == shapes.n_validation


def test_closing_the_generator_ends_the_training(shapes):
    steps = train(shapes, settings=QUICK, network_settings=SMALL)
    next(steps)
    next(steps)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_the_best_epoch_is_returned_with_its_scores(shapes):
    settings = TrainingSettings(epochs=6, batch_size=8, learning_rate=5e-3)
    events, model = listen(train(shapes, settings=settings, network_settings=SMALL))
    best = [event for event in epochs_of(events) if event.is_best][-1]
    scores = model.card.scores
    assert scores["best_epoch"] == best.epoch
    assert scores["validation"]["accuracy"] == pytest.approx(best.validation_accuracy, abs=1e-6)
    held = torch.from_numpy(shapes.split.validation)
    with torch.inference_mode():
        predicted = model.network(shapes.patches[held]).argmax(1)
    right = (predicted == shapes.targets[held]).float().mean().item()
    assert right == pytest.approx(best.validation_accuracy)


def measured(right, n):
    """Return the measurement of ``right`` right answers of ``n`` in each of two classes."""
    confusion = [[right[0], n - right[0]], [n - right[1], right[1]]]
    return MeasuredClasses(0.5, Scores(np.array(confusion)), "classify", np.sum(confusion, axis=1))


@pytest.mark.parametrize(
    ("earlier", "later", "n", "is_best"),
    [((9, 9), (9, 8), 10, True), ((900, 900), (900, 800), 1000, False)],
)
def test_a_later_epoch_is_better_unless_it_is_worse_by_more_than_chance(earlier, later, n, is_best):
    module = torch.nn.Linear(1, 1)
    best = Best("best_score_one_standard_error", module)
    assert best.consider(module, Mark.of(measured(earlier, n)), 1, 1)
    assert best.consider(module, Mark.of(measured(later, n)), 2, 2) is is_best


def test_pixels_of_few_strokes_are_few_places_that_go_right_or_wrong():
    confusion = np.array([[900, 100], [100, 900]])
    strokes, masks = (
        MeasuredClasses(0.5, Scores(confusion), "segment", np.array([n, n])) for n in (2, 200)
    )
    assert strokes.standard_error > 0.1 > 0.02 > masks.standard_error


def test_the_standard_error_is_that_of_a_mean_of_shares():
    share = np.array([801 / 1002] * 2)
    expected = np.sqrt((share * (1 - share) / 1002).sum()) / 2
    assert measured((800, 800), 1000).standard_error == pytest.approx(expected)
    assert measured((4, 4), 4).standard_error > 0.05


def test_without_held_out_samples_the_last_epoch_is_returned():
    samples = shape_set(24, validation_fraction=0.0)
    events, model = listen(train(samples, settings=QUICK, network_settings=SMALL))
    assert [event.score for event in epochs_of(events)] == [None, None]
    assert model.card.scores["best_epoch"] == 2
    assert "validation" not in model.card.scores
    assert model.card.scores["warning"]


def test_the_time_limit_ends_the_training(shapes):
    settings = TrainingSettings(epochs=10_000, batch_size=16, max_seconds=0.5)
    events, model = listen(train(shapes, settings=settings, network_settings=SMALL))
    assert 1 <= model.card.scores["epochs_trained"] < 10_000
    last = epochs_of(events)[-1]
    # The schedule follows the clock, so that the last steps are small ones here, too.
    assert last.learning_rate < 0.1 * settings.learning_rate


def test_numbers_that_become_invalid_in_the_first_epoch_are_refused(shapes):
    broken = dict(build_network("convnet", 1, 2, **SMALL).state_dict())
    broken["features.0.weight"] = torch.full_like(broken["features.0.weight"], float("inf"))
    steps = train(shapes, settings=QUICK, network_settings=SMALL, initial_weights=broken)
    with pytest.raises(UserError, match="learning rate") as refused:
        run(steps)
    assert refused.value.code == "CN-202"


def test_numbers_that_become_invalid_later_keep_the_best_model_and_are_told(shapes):
    samples = shape_set(40)
    settings = TrainingSettings(epochs=20, batch_size=16)

    def spoil(event):
        if isinstance(event, EpochFinished) and event.epoch == 2:
            samples.patches[:] = float("nan")

    steps = train(samples, settings=settings, network_settings=SMALL)
    events, model = listen(steps, spoil)
    assert isinstance(events[-1], StoppedEarly)
    assert "epoch 3" in events[-1].reason
    assert model.card.scores["warning"].startswith(events[-1].reason)
    assert model.card.scores["epochs_trained"] == 2
    assert torch.isfinite(model.network(shapes.patches)).all()


def test_an_invalid_pixel_does_not_spoil_the_weights():
    samples = blob_set(invalid=True)
    model = run(train(samples, settings=QUICK, network_settings={"width": 4, "levels": 1}))
    assert all(torch.isfinite(tensor).all() for tensor in weights_of(model).values())


def test_constant_images_train_without_invalid_numbers():
    labels = np.zeros((48, 48), np.uint8)
    labels[2:20, 2:46], labels[28:46, 2:46] = 1, 2
    image = CleanImage(np.full((1, 48, 48), 7, np.float32), None, "constant")
    classes = blob_set().classes
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(image, labels)], classes, patch_size=16
    )
    events, _ = listen(train(samples, settings=QUICK, network_settings={"width": 4, "levels": 1}))
    assert all(np.isfinite(event.training_loss) for event in epochs_of(events))


def test_blobs_are_segmented_after_a_few_epochs_of_strokes():
    settings = TrainingSettings(epochs=8, batch_size=8, learning_rate=5e-3)
    network = {"width": 8, "levels": 2}
    model = run(train(blob_set(), settings=settings, network_settings=network))
    unseen = blob_set(seed=1, whole=True)
    with torch.inference_mode():
        predicted = model.network(torch.from_numpy(unseen.images[0])[None])[0].argmax(0).numpy()
    truth = unseen.targets[0]
    iou = ((predicted == 1) & (truth == 1)).sum() / ((predicted == 1) | (truth == 1)).sum()
    assert iou > 0.8


def test_a_segmentation_goes_on_from_our_own_model():
    samples = blob_set()
    network = {"width": 4, "levels": 1}
    first = run(train(samples, settings=QUICK, network_settings=network))
    still = TrainingSettings(epochs=1, batch_size=8, learning_rate=1e-6)
    events, _ = listen(
        train(samples, settings=still, network_settings=network, initial_weights=weights_of(first))
    )
    afresh, _ = listen(train(samples, settings=still, network_settings=network))
    assert epochs_of(events)[0].validation_loss < epochs_of(afresh)[0].validation_loss


def test_a_rare_class_weighs_more_only_when_balanced(shapes):
    rare = shape_set(44, share_of_squares=0.15)
    losses = []
    for balance in ("weighted_loss", "off"):
        settings = TrainingSettings(epochs=1, batch_size=64, balance=balance)
        events, _ = listen(train(rare, settings=settings, network_settings=SMALL))
        losses.append(next(event.loss for event in events if isinstance(event, BatchFinished)))
    assert losses[0] != losses[1]


def test_freezing_layers_without_pretrained_weights_is_refused(shapes):
    settings = TrainingSettings(freeze_backbone=True)
    with pytest.raises(UserError, match="pretrained") as refused:
        run(train(shapes, settings=settings))
    assert refused.value.code == "CN-510"
    assert len(refused.value.message) <= 300


def test_a_frozen_network_learns_in_its_last_layer_only(shapes):
    given = build_network("convnet", 1, 2, **SMALL).state_dict()
    settings = TrainingSettings(epochs=2, batch_size=16, freeze_backbone=True)
    model = run(train(shapes, settings=settings, network_settings=SMALL, initial_weights=given))
    changed = {
        name for name, tensor in weights_of(model).items() if not torch.equal(tensor, given[name])
    }
    assert changed == {"classifier.weight", "classifier.bias"}


def test_a_network_of_another_task_is_refused(shapes):
    with pytest.raises(UserError, match="does not classify"):
        run(train(shapes, "unet"))


def test_remeasured_statistics_are_those_of_the_batches():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2), torch.nn.Dropout(0.5))
    batches = [
        torch.randn(8, 2, 5, 5, generator=torch.Generator().manual_seed(k)) * 3 + 7 for k in (1, 2)
    ]
    remeasure_batch_norms(network, batches)
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(network[0].running_mean, means)
    assert network[0].momentum == 0.1
    assert not network.training


def test_frozen_batch_norms_keep_their_statistics():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    network.requires_grad_(False)
    remeasure_batch_norms(network, [torch.ones(4, 2, 3, 3)])
    assert torch.equal(network[0].running_mean, torch.zeros(2))


def test_small_sets_are_shown_more_often():
    epochs = [suggest_epochs(shape_set(n), 4) for n in (12, 600)]
    assert epochs[0] > epochs[1] >= 10


def test_strokes_held_out_in_few_places_are_said_to_say_little():
    image = clean_image(np.random.default_rng(0).random((96, 96), np.float32), "YX")
    many = np.zeros((96, 96), np.uint8)
    many[::8], many[4::8] = 1, 2
    few = np.where(np.arange(96)[:, None] + np.arange(96) < 20, many, 0).astype(np.uint8)
    settings = TrainingSettings(epochs=1, batch_size=8)
    warnings = {}
    for name, held in (("many", many), ("few", few)):
        samples = SegmentationSet.from_annotations(
            [AnnotatedPixels(image, many)], make_classes(("a", "b")), patch_size=16,
            validation=[AnnotatedPixels(image, held)],
        )  # fmt: skip
        network = {"width": 4, "levels": 1}
        _, model = listen(train(samples, "unet", settings, network_settings=network))
        warnings[name] = model.card.scores["warning"]
    assert warnings["many"] == ""
    assert "held-out places" in warnings["few"]
