"""The network that a training gives is measured once, in full, and its temperature goes with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_convnet import TrainingSettings, UserError, load_model, run, save_model, train
from napari_convnet.images import CleanImage
from napari_convnet.prediction import classify_images
from napari_convnet.training.final import final_scores
from synthetic_pictures import blob_set, shape_set


@pytest.fixture(scope="module")
def shapes():
    samples = shape_set(160, validation_fraction=0.5)
    groups = np.array([f"<b>slide {k % 8}" for k in range(160)])
    return replace(samples, split=replace(samples.split, groups=groups, group_kind="slides"))


@pytest.fixture(scope="module")
def model(shapes):
    settings = TrainingSettings(epochs=6, batch_size=16, learning_rate=5e-3, device="cpu")
    return run(train(shapes, settings=settings, network_settings={"width": 8, "blocks": 2}))


def test_a_card_says_how_sure_its_scores_are_and_on_what_they_were_measured(model, tmp_path):
    save_model(model, tmp_path / "m.safetensors")
    scores = load_model(tmp_path / "m.safetensors").card.scores
    report = scores["validation"]
    assert report["measured"]["slides"] == 8
    assert report["measured"]["samples"] == report["n"] == 80
    assert "<" not in "".join(report["measured"]["names"])
    low, high = report["accuracy_interval"]
    assert low < report["accuracy"] <= high
    assert report["classes"]["disk"]["auc"] > 0.75
    assert "8 slides" in scores["warning"]
    assert "same held-out samples" in report["calibration"]["measured_on"]


def test_probabilities_are_those_of_the_cards_temperature(model, shapes, tmp_path):
    image = CleanImage(shapes.patches[0].numpy(), None, "patch")
    for temperature in (1.0, 2.5):
        card = model.card.model_copy(update={"temperature": temperature})
        changed = replace(model, card=card)
        save_model(changed, tmp_path / "m.safetensors")
        opened = load_model(tmp_path / "m.safetensors")
        assert opened.card.temperature == temperature
        found = run(classify_images(opened, lambda _: image, 1, device="cpu")).probabilities
        with torch.inference_mode():
            logits = model.network(shapes.patches[:1])
        expected = (logits / temperature).softmax(1).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_network_that_is_too_sure_gets_a_temperature(model, shapes):
    class Shouting(torch.nn.Module):
        def forward(self, inputs):
            noise = torch.randn(len(inputs), 2, generator=torch.Generator().manual_seed(0))
            return 8 * (model.network(inputs) / 4 + 2 * noise)

    scores, temperature = final_scores(Shouting(), shapes, {"warning": ""}, torch.device("cpu"))
    calibration = scores["validation"]["calibration"]
    assert temperature == calibration["temperature"] > 1.5
    before = calibration["expected_calibration_error_before"]
    assert calibration["expected_calibration_error"] < before


def test_other_tasks_and_trainings_without_validation_are_left_alone():
    samples, before = shape_set(8, validation_fraction=0), {"warning": "nothing held out"}
    for others in (samples, blob_set()):
        assert final_scores(torch.nn.Identity(), others, before, torch.device("cpu")) == (before, 1)


def test_a_temperature_that_is_no_number_is_refused(model, tmp_path):
    changed = replace(model, card=model.card.model_copy(update={"temperature": -1.0}))
    with pytest.raises(UserError):
        save_model(changed, tmp_path / "m.safetensors")


def test_a_model_is_not_lost_when_it_cannot_be_measured(shapes):
    class Broken(torch.nn.Module):
        def forward(self, inputs):
            raise RuntimeError("out of memory <b>")

    scores, temperature = final_scores(Broken(), shapes, {"warning": ""}, torch.device("cpu"))
    assert temperature == 1
    assert "out of memory" in scores["warning"]
    assert "<" not in scores["warning"]
