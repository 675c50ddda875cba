"""Features of a frozen network to a logistic regression, and ImageNet's names, in Python and as commands."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from napari_convnet import (
    extract_features,
    load_model,
    name_image,
    run,
    save_model,
    train_on_features,
)
from napari_convnet.classes import make_classes
from napari_convnet.cli.app import app
from napari_convnet.images import clean_image
from napari_convnet.networks import build_network, imagenet_classes
from napari_convnet.prediction import load_imagenet_network
from napari_convnet.samples import ClassificationSet, split_by_sample
from napari_convnet.training.logistic import fit_logistic
from synthetic_pictures import blob_set, draw_shape
from transfer_helpers import QUICK, code_of, colour_set, quick_model

# Features to a logistic regression


@pytest.mark.parametrize("names", [("red", "green"), ("red", "green", "blue")], ids=len)
@pytest.mark.parametrize("network", ["mobilenet_v2", "squeezenet1_1", "resnet18"])
def test_a_logistic_regression_becomes_the_last_layer(network, names, tmp_path):
    torch.manual_seed(0)
    weights = build_network(network, 3, 1000).state_dict()
    samples = colour_set(names, n=48)
    model = run(train_on_features(samples, network, QUICK, initial_weights=weights))
    facts = model.card.scores["features"]
    assert model.card.scores["validation"]["accuracy"] > 0.9
    assert "cross-validation" in facts["chosen_by"]
    save_model(model, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    # The file's network says what scikit-learn would, of features that another pass computes.
    features = run(extract_features(samples, again))
    assert features.values.shape == (48, facts["count"])
    inside = samples.split.training
    targets = samples.targets[inside].numpy()
    fitted = run(fit_logistic(features.values[inside], targets, len(names), seed=QUICK.seed))
    with torch.inference_mode():
        found = again.network(samples.patches).softmax(1).numpy()
    assert np.allclose(found, fitted.probabilities(features.values), atol=2e-3)
    for name, tensor in again.network.state_dict().items():
        if tensor.shape == weights[name].shape:
            assert torch.equal(tensor, weights[name])


def test_two_classes_on_one_unit_and_a_models_own_features_work_too():
    samples = colour_set(("red", "green"), n=48, size=50)
    model = quick_model(samples, "rbc_convnet", network_settings={})
    better = run(train_on_features(samples, settings=QUICK, initial_model=model))
    assert better.card.network == "rbc_convnet"
    assert better.card.scores["validation"]["accuracy"] > 0.9
    assert better.card.scores["started_from"]["classes_kept"] == ["red", "green"]


def test_the_folds_of_the_search_keep_groups_together_and_never_see_held_out_samples():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 10)
    targets = np.arange(120) % 2
    # Features tell the group and nothing of the class: only samples of a known group could be guessed.
    values = np.eye(12, dtype=np.float32)[groups] * 3
    noise = random.normal(0, 1, (120, 40)).astype(np.float32)
    fitted = run(fit_logistic(np.hstack([values, noise]), targets, 2, groups=groups))
    assert "groups kept together" in fitted.chosen_by
    assert max(fitted.accuracies.values()) < 0.75


def test_classes_with_too_few_samples_get_the_default_strength():
    values = np.random.default_rng(0).normal(0, 1, (5, 3)).astype(np.float32)
    fitted = run(fit_logistic(values, np.array([0, 0, 0, 0, 2]), 3))
    assert fitted.chosen_by == "default"
    assert fitted.probabilities(values)[:, 1].max() < 1e-6  # a class that was never seen


def test_features_need_pretrained_weights_a_linear_end_and_classes(mobilenet):
    samples = colour_set()
    assert code_of(lambda: run(train_on_features(samples, "mobilenet_v2", QUICK)))[0] == "CN-510"
    assert code_of(lambda: run(train_on_features(blob_set(), "unet", QUICK)))[0] == "CN-538"
    weights = build_network("vgg16_frozen", 3, 2, (32, 32)).state_dict()
    steps = train_on_features(samples, "vgg16_frozen", QUICK, initial_weights=weights)
    assert code_of(lambda: run(steps))[0] == "CN-538"


def test_stopping_features_gives_no_model(mobilenet):
    stop = threading.Event()
    stop.set()
    assert run(train_on_features(colour_set(), initial_weights=mobilenet, stop=stop)) is None


# ImageNet's names


def test_any_image_gets_five_names_with_probabilities(mobilenet):
    classifier = load_imagenet_network("mobilenet_v2", mobilenet)
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    named = name_image(classifier, clean_image(picture, "YXC", "picture"))
    assert len(named) == 5
    assert all(name in imagenet_classes() for name, _ in named)
    chances = [chance for _, chance in named]
    assert chances == sorted(chances, reverse=True)
    as_16_bit = clean_image(picture.astype(np.uint16) * 100, "YXC", "picture")
    assert name_image(classifier, as_16_bit)[0][0] in imagenet_classes()
    two = clean_image(picture[..., :2], "YXC", "two")
    assert code_of(lambda: name_image(classifier, two))[0] == "CN-534"


# The command line


def write_folder(folder: Path, names=("disk", "square"), n=12) -> Path:
    from skimage.io import imsave

    random = np.random.default_rng(0)
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for index in range(n):
            picture = draw_shape(bool(number % 2), random, 32) * 60 + 60 + 30 * number
            grey = picture.clip(0, 255).astype(np.uint8)
            imsave(folder / name / f"{index}.png", np.stack([grey] * 3, -1), check_contrast=False)
    return folder


def command(*words) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_line_trains_on_features_and_goes_on_from_the_model(tmp_path, mobilenet):
    save_file(mobilenet, tmp_path / "weights.safetensors")
    data = write_folder(tmp_path / "two")
    model = tmp_path / "features.safetensors"
    output = command(
        "train", "classify", data, "-o", model, "--network", "mobilenet_v2", "--size", 32,
        "--pretrained", tmp_path / "weights.safetensors", "--features", "logistic", "--device", "cpu",
    )  # fmt: skip
    assert "1,280 features" in output
    assert load_model(model).card.scores["features"]["count"] == 1280
    more = write_folder(tmp_path / "three", ("square", "star", "disk"))
    output = command(
        "train", "classify", more, "-o", tmp_path / "tuned.safetensors", "--start-from", model,
        "--epochs", 1, "--freeze", "--unfreeze-last-blocks", 1, "--backbone-learning-rate-factor", 0.1,
        "--device", "cpu",
    )  # fmt: skip
    assert "known classes: disk, square; new: star" in output
    tuned = load_model(tmp_path / "tuned.safetensors").card
    assert (tuned.network, tuned.input_size) == ("mobilenet_v2", (32, 32))
    assert tuned.training["unfreeze_last_blocks"] == 1


def test_the_command_line_names_an_image(tmp_path, mobilenet):
    save_file(mobilenet, tmp_path / "weights.safetensors")
    data = write_folder(tmp_path / "pictures", n=1)
    output = command(
        "predict", "imagenet:mobilenet_v2", data / "disk", "--weights", tmp_path / "weights.safetensors",
        "-o", tmp_path / "names", "--device", "cpu",
    )  # fmt: skip
    assert "probability" in output
    rows = (tmp_path / "names" / "names.csv").read_text().splitlines()
    assert len(rows) == 1 + 5
    wrong = CliRunner().invoke(app, ["predict", str(tmp_path / "x.safetensors"), str(data)])
    assert wrong.exit_code == 2


@pytest.mark.data
def test_real_features_tell_pollen_bearing_bees():
    data = os.environ.get("NAPARI_CONVNET_DATA")
    if not data or not (Path(data) / "pollen_bees").is_dir():
        pytest.skip("set NAPARI_CONVNET_DATA to a folder with pollen_bees and weights")
    from napari_convnet.folders import read_class_folder
    from napari_convnet.model_file import read_weights
    from napari_convnet.samples import read_image_files

    folder = read_class_folder(Path(data) / "pollen_bees")
    some = folder.subset(np.arange(0, len(folder.files), 3))
    files = run(read_image_files(some, 96))
    samples = ClassificationSet.from_images(
        files.images.__getitem__, some.targets, make_classes(some.class_names),
        split_by_sample(some.targets, 0.4, 0), input_size=96,
    )  # fmt: skip
    weights = read_weights(Path(data) / "weights" / "mobilenet_v2_imagenet.safetensors")
    model = run(train_on_features(samples, "mobilenet_v2", QUICK, initial_weights=weights))
    assert model.card.scores["validation"]["accuracy"] > 0.8
