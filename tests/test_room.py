"""A network that is too big for the memory is refused before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import tifffile
from typer.testing import CliRunner

from napari_convnet import TrainingSettings, UserError, train
from napari_convnet.cli.app import app
from napari_convnet.networks import NETWORKS
from napari_convnet.training import TrainingStarted
from napari_convnet.training.recipe import Recipe
from napari_convnet.training.room import least_memory
from synthetic_pictures import blob_set
from transfer_helpers import colour_set

SETTINGS = TrainingSettings(epochs=1, batch_size=16, device="cpu")


@pytest.fixture
def memory(monkeypatch):
    """Let the computer have so much free memory, in MB."""

    def set_free(megabytes: float) -> None:
        free = SimpleNamespace(available=megabytes * 1e6)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free)

    return set_free


def least(samples, network, settings=SETTINGS, **options) -> float:
    return least_memory(Recipe(samples, network, options, settings, None, "x")) / 1e6


def test_a_backbone_that_does_not_fit_is_refused_with_both_numbers(memory):
    samples = colour_set(size=64)
    memory(100)
    with pytest.raises(
        UserError, match=r"'resnet18' on 64 x 64 pixels needs about 0\.2 GB"
    ) as refused:
        next(train(samples, "resnet18", SETTINGS))
    assert refused.value.code == "CN-206"
    assert "has 0.1 GB free" in refused.value.message
    assert "1 sample a step" in refused.value.message
    memory(250)
    assert isinstance(next(train(samples, "resnet18", SETTINGS)), TrainingStarted)


def test_what_counts_is_the_least_that_a_training_may_come_down_to():
    samples = colour_set(size=64)
    whole = replace(SETTINGS, reduce_batch_on_out_of_memory=False)
    assert least(samples, "resnet18", whole) > least(samples, "resnet18") + 30
    frozen = replace(SETTINGS, freeze_backbone=True)
    assert least(samples, "resnet18", frozen) < 0.6 * least(samples, "resnet18")
    patches = replace(blob_set(), patch_size=512)
    assert least(patches, "unet", whole) > 100 * least(patches, "unet")


def test_more_parameters_and_more_numbers_for_each_need_more():
    samples = colour_set(size=96)
    sizes = [least(samples, network) for network in ("squeezenet1_1", "resnet18", "alexnet")]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 10 * sizes[0]
    momentum = replace(SETTINGS, solver="sgdm")  # one number for each weight, AdamW has two
    weights = 4 * NETWORKS["alexnet"].stated.parameters / 1e6
    assert 0.8 * weights < least(samples, "alexnet") - least(samples, "alexnet", momentum) < weights


def test_the_command_line_says_it_before_it_starts(memory, tmp_path):
    random = np.random.default_rng(0)
    for name in ("dark", "bright"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for k in range(6):
            pixels = random.integers(0, 255, (64, 64), np.uint8)
            tifffile.imwrite(tmp_path / "images" / name / f"{k}.tif", pixels)
    memory(100)
    out = tmp_path / "model.safetensors"
    arguments = ["train", "classify", tmp_path / "images", "-o", out, "--network", "resnet18"]
    result = CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu", "--size", "64"])
    assert result.exit_code == 1, result.output
    assert "CN-206" in result.output
    assert "0.1 GB free" in " ".join(result.output.split())
    assert not out.exists()
