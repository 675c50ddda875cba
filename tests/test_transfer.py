"""Going on from what is known: own models, frozen parts, features to a logistic regression, ImageNet's names."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_convnet import (
    run,
    train,
)
from napari_convnet.classes import make_classes
from napari_convnet.images import CleanImage
from napari_convnet.model_file import model_bytes, model_from_bytes
from napari_convnet.networks import build_network
from napari_convnet.samples import AnnotatedPixels, SegmentationSet
from napari_convnet.training import repeat_run, start_from_model
from synthetic_pictures import blob_set, shape_set
from transfer_helpers import QUICK, SMALL, code_of, colour_set, quick_model

# A model of one's own


@pytest.mark.parametrize(
    ("network", "settings"), [("convnet", SMALL), ("rbc_convnet", {}), ("perceptron", {})]
)
@pytest.mark.parametrize(
    "names", [("green", "red"), ("blue", "green", "red"), ("green", "blue")], ids="-".join
)
def test_known_classes_keep_their_rows_by_name(network, settings, names):
    old = colour_set(("red", "green"), size=50)
    model = quick_model(old, network, network_settings=settings)
    start = start_from_model(colour_set(names, size=50), model)
    kept = build_network(network, 3, len(names), (50, 50), **settings)
    kept.load_state_dict(start.weights)
    with torch.inference_mode():
        before = model.network(old.patches)
        after = kept.eval()(old.patches)
    if "red" in names:  # how much more red than green a patch is does not change
        was = before[:, 0] - before[:, 1]
        now = after[:, names.index("red")] - after[:, names.index("green")]
        assert torch.allclose(was, now, atol=1e-4)
    expected_new = [name for name in names if name == "blue"]
    assert start.facts["classes_new"] == expected_new
    assert start.facts["classes_left_out"] == ([] if "red" in names else ["red"])


def test_a_new_class_begins_at_random_and_is_learned():
    model = quick_model(colour_set(), settings=replace(QUICK, epochs=6, learning_rate=1e-2))
    samples = colour_set(("blue", "green", "red"), n=36)
    settings = replace(QUICK, epochs=30, learning_rate=1e-2, augment=False, warm_up_steps=0)
    steps = train(samples, settings=settings, initial_model=model)
    tuned = run(steps)
    assert tuned.card.network == "convnet"
    assert tuned.card.network_settings == SMALL
    assert [entry.name for entry in tuned.card.classes] == ["blue", "green", "red"]
    with torch.inference_mode():
        right = tuned.network(samples.patches).argmax(1) == samples.targets
    assert right.float().mean() > 0.9
    text = tuned.card.scores["started_from"]["text"]
    assert "known classes: green, red" in text
    assert "new: blue" in text


def test_an_unchanged_class_list_begins_with_the_very_weights_of_the_model():
    model = quick_model(colour_set())
    start = start_from_model(colour_set(), model)
    assert start.weights.keys() == model.network.state_dict().keys()
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(start.weights[name], tensor)


def test_the_model_that_it_started_from_is_left_as_it_was():
    model = quick_model(colour_set())
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    run(train(colour_set(), settings=replace(QUICK, learning_rate=0.1), initial_model=model))
    assert all(torch.equal(before[n], t) for n, t in model.network.state_dict().items())


def test_fixed_numbers_of_a_models_normalisation_are_kept():
    old = colour_set(mode="training_set")
    new = colour_set(mode="training_set", shift=5.0)
    model = quick_model(old)
    start = start_from_model(new, model)
    assert start.samples.normalisation == old.normalisation
    grey_values = new.patches * 15 + 105
    assert torch.allclose(start.samples.patches, (grey_values - 100) / 10, atol=1e-4)
    assert "normalised by the model's numbers" in start.facts["text"]
    tuned = run(train(new, settings=QUICK, initial_model=model))
    assert tuned.card.normalisation.mean == (100.0,) * 3
    assert model_from_bytes(model_bytes(tuned), "tuned").card == tuned.card
    start = start_from_model(colour_set(), model)
    assert start.samples.normalisation.mode == "per_image"
    assert "unlike for that model" in start.facts["text"]


def test_a_fine_tuned_run_goes_on_and_is_repeated_to_the_bit():
    new = colour_set(("blue", "red"), mode="training_set", shift=5.0)
    model = quick_model(colour_set(mode="training_set"))
    settings = replace(QUICK, epochs=2)
    whole = run(train(new, settings=settings, initial_model=model))
    again = run(repeat_run(whole.card, new, initial_model=model))
    kept = []
    stop = threading.Event()
    for _ in train(
        new, settings=settings, initial_model=model, stop=stop, keep=kept.append, keep_seconds=0
    ):
        if kept:
            stop.set()
    resumed = run(train(new, resume_from=kept[0]))  # without the model, as it may be gone by then
    resumed_again = run(repeat_run(resumed.card, new, initial_model=model))
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])
        assert torch.equal(tensor, resumed.network.state_dict()[name])
        assert torch.equal(tensor, resumed_again.network.state_dict()[name])


def test_a_segmentation_goes_on_with_a_third_class():
    samples = blob_set()
    small = {"width": 4, "levels": 1}
    model = quick_model(samples, "unet", network_settings=small)
    more = replace(samples, classes=make_classes(("blob", "background", "edge")))
    start = start_from_model(more, model)
    head = next(name for name in reversed(start.weights) if name.endswith("weight"))
    old = model.network.state_dict()[head]
    assert torch.equal(start.weights[head][0], old[1])
    assert torch.equal(start.weights[head][1], old[0])
    assert start.weights[head].shape[0] == 3


def test_models_that_do_not_fit_are_refused_with_both_numbers():
    model = quick_model(colour_set())
    code, message = code_of(lambda: start_from_model(shape_set(20), model))
    assert (code, "3 channels (r, g, b)" in message, "have 1" in message) == ("CN-106", True, True)
    assert code_of(lambda: start_from_model(blob_set(), model))[0] == "CN-106"
    flat = quick_model(colour_set(size=50), "perceptron", network_settings={})
    code, message = code_of(lambda: start_from_model(colour_set(size=48), flat))
    assert (code, "50 x 50" in message, "48 x 48" in message) == ("CN-536", True, True)
    weights = model.network.state_dict()
    for extra in ({"network": "mlp"}, {"initial_weights": weights}):
        steps = train(colour_set(), settings=QUICK, initial_model=model, **extra)
        assert code_of(lambda steps=steps: run(steps))[0] == "CN-537"


# Frozen parts


def test_a_frozen_vgg_of_random_weights_is_refused():
    steps = train(colour_set(size=32), "vgg16_frozen", QUICK)
    assert code_of(lambda: run(steps))[0] == "CN-510"


def test_frozen_batch_norms_keep_their_statistics_and_unfrozen_blocks_learn(mobilenet):
    settings = replace(
        QUICK, freeze_backbone=True, unfreeze_last_blocks=1, backbone_learning_rate_factor=0.1
    )
    model = quick_model(colour_set(), "mobilenet_v2", settings, initial_weights=mobilenet)
    own = model.network.state_dict()
    learned = {name for name, tensor in own.items() if not torch.equal(tensor, mobilenet[name])
               if name in mobilenet and tensor.shape == mobilenet[name].shape}  # fmt: skip
    assert learned
    assert all(name.startswith("features.18.") for name in learned)
    assert "features.18.1.running_mean" in learned
    assert model.card.training["unfreeze_last_blocks"] == 1
    assert model.card.training["backbone_learning_rate_factor"] == 0.1


@pytest.mark.parametrize("mode", ["per_image", "percentiles"])
def test_images_to_segment_are_normalised_as_the_model_expects_it(mode):
    random = np.random.default_rng(0)
    pixels = random.gamma(1, 50, (1, 64, 64)).astype(np.float32)
    labels = np.zeros((64, 64), np.uint8)
    labels[:10], labels[50:] = 1, 2
    part = AnnotatedPixels(CleanImage(pixels, None, "image"), labels)
    classes = make_classes(("a", "b"))
    wanted, other = (
        SegmentationSet.from_annotations([part], classes, patch_size=32, normalisation=m)
        for m in (mode, {"per_image": "percentiles", "percentiles": "per_image"}[mode])
    )
    model = run(train(wanted, "unet", QUICK, network_settings={"width": 4, "levels": 2}))
    begin = start_from_model(other, model)
    assert begin.samples.normalisation.mode == mode
    np.testing.assert_allclose(begin.samples.images[0], wanted.images[0], atol=1e-5)
