"""The starter weights that come with the package: what they fit, what they saw, how they are made, what they give."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tifffile import imwrite
from typer.testing import CliRunner

from napari_convnet import TrainingSettings, make_classes, run, train
from napari_convnet.cli.app import app
from napari_convnet.errors import UserError
from napari_convnet.images import CleanImage
from napari_convnet.live.consistency import ConsistentStepper
from napari_convnet.live.network import LiveNetwork, LiveRequest
from napari_convnet.model_file import load_model
from napari_convnet.networks import (
    adapt_weights,
    begin_head,
    build_network,
    has_starter_weights,
    read_starter_weights,
    starter_card,
    starter_sha256,
)
from napari_convnet.networks.starter import STARTER_HEAD, starter_path
from napari_convnet.sample_data import read_sample
from napari_convnet.samples import AnnotatedPixels, SegmentationSet
from napari_convnet.training import repeat_run
from napari_convnet.training.stepper import Stepper
from training_helpers import listen

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = REPOSITORY / "starter_weights" / "make_starter_weights.py"
KEPT_OUT = (REPOSITORY / "starter_weights" / "kept_out.txt").read_text().split()
START = {"kind": "starter", "sha256": starter_sha256()}


def nuclei_with_strokes(names=("background", "nucleus")) -> tuple[SegmentationSet, np.ndarray]:
    """Return some rows of nuclei and background as a training set, and the true classes of the last 256 rows."""
    sample = read_sample("nuclei_1")
    pixels, truth = sample.image[:1].astype(np.float32), sample.labels > 0
    classes = make_classes(names)
    values = np.where(truth, 1 + names.index("nucleus"), 1 + names.index("background"))
    painted = np.zeros(truth.shape, np.uint8)
    painted[20:250:40] = values[20:250:40]
    part = AnnotatedPixels(CleanImage(pixels, None, "nuclei"), painted)
    samples = SegmentationSet.from_annotations([part], classes, validation_fraction=0.0)
    return samples, truth


def nucleus_iou(network: torch.nn.Module, samples: SegmentationSet, truth: np.ndarray) -> float:
    pixels = torch.from_numpy(samples.images[0][:, 256:])[None]
    with torch.inference_mode():
        found = network.eval()(pixels)[0, :2].argmax(0).numpy()
    names = [info.name for info in samples.classes]
    nuclei, true = found == names.index("nucleus"), truth[256:]
    return (nuclei & true).sum() / (nuclei | true).sum()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("n_classes", [2, 3, 4, 5])
def test_they_fit_any_number_of_channels_and_classes(channels, n_classes):
    weights = read_starter_weights()
    one, many = (build_network("unet", c, n_classes).eval() for c in (1, channels))
    for network in (one, many):
        assert set(adapt_weights(network, weights)) == {"head.weight", "head.bias"}
        begin_head(network, weights, n_classes, background=n_classes - 1)
    grey = torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = one(grey), many(grey.repeat(1, channels, 1, 1))
    assert torch.allclose(expected, found, atol=1e-3)  # the same picture in every channel
    background = found.softmax(1)[:, n_classes - 1]
    rows = weights[STARTER_HEAD]
    assert torch.equal(many.head.weight[n_classes - 1], rows[0])
    assert torch.equal(many.head.weight[0], rows[1])
    assert ((background > 0) & (background < 1)).all()


def test_more_classes_share_the_chance_of_an_object():
    weights = read_starter_weights()
    picture = torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(1))
    found = []
    for n_classes in (2, 5):
        network = build_network("unet", 1, n_classes).eval()
        adapt_weights(network, weights)
        begin_head(network, weights, n_classes, background=0)
        with torch.inference_mode():
            found.append(network(picture).softmax(1)[:, 0])
    assert torch.allclose(*found, atol=1e-4)


def test_other_outputs_and_other_weights_leave_the_last_layer_alone():
    network = build_network("unet", 1, 3)
    before = network.head.weight.detach().clone()
    begin_head(network, build_network("unet", 1, 3).state_dict(), 3, background=0)
    assert torch.equal(network.head.weight, before)
    begin_head(network, read_starter_weights(), 2, background=0)  # the third output is no class
    assert torch.equal(network.head.weight[2], before[2])
    assert not torch.equal(network.head.weight[1], before[1])


def test_only_the_unet_of_its_usual_size_has_some():
    assert has_starter_weights("unet")
    assert has_starter_weights("unet", {"width": 16, "levels": 3})
    assert not has_starter_weights("unet", {"levels": 4})
    assert not has_starter_weights("segnet")
    with pytest.raises(UserError) as refused:
        adapt_weights(build_network("unet", 1, 2, width=8), read_starter_weights())
    assert refused.value.code == "CN-111"


def test_the_file_is_small_and_its_card_names_what_was_seen_and_what_was_not():
    assert starter_path().stat().st_size <= 3e6
    card = starter_card()
    assert not set(card["files"]) & set(card["never_seen"])
    assert card["never_seen"] == sorted(KEPT_OUT)
    assert sum(name.startswith("dsb2018/fluo/") for name in KEPT_OUT) >= 40
    sets = {name.split("/")[0] for name in card["files"]}
    assert sets == {"bbbc039", "dsb2018"} == set(card["licences"]) - {"simulated"}
    assert all(card["licences"][name].startswith("CC0") for name in sets)
    assert card["normalisation"] == "percentiles"
    readme = starter_path().with_name("README.md").read_text(encoding="utf-8")
    assert all(f"`{Path(name).name}`" in readme for name in (*card["files"], *KEPT_OUT))
    assert starter_sha256() in readme
    assert f"{card['steps']:,} steps" in readme


def test_every_file_that_was_seen_or_kept_out_is_among_the_real_images(data_folder):
    data = data_folder
    card = starter_card()
    folders = {str(Path(name).parent) for name in (*card["files"], *KEPT_OUT)}
    there = {f"{folder}/{p.name}" for folder in folders for p in (data / folder).iterdir()}
    assert there == {*card["files"], *KEPT_OUT}


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "unet.safetensors"
    path.write_bytes(b"nothing")
    for read in (read_starter_weights, starter_card):
        with pytest.raises(UserError, match="random weights") as refused:
            read(path)
        assert refused.value.code == "CN-643"


def test_a_few_steps_from_them_are_worth_many_from_random_weights():
    for names in (("background", "nucleus"), ("nucleus", "background")):
        samples, truth = nuclei_with_strokes(names)
        settings = TrainingSettings(epochs=1, batch_size=8, device="cpu", validation_fraction=0)
        found = {
            start: nucleus_iou(
                run(train(samples, "unet", settings, initial_weights=weights)).network,
                samples, truth,
            )
            for start, weights in (("random", None), ("starter", read_starter_weights()))
        }  # fmt: skip
        assert found["starter"] > 0.6
        assert found["starter"] > found["random"] + 0.05


def test_a_run_that_began_with_them_says_so_goes_on_and_is_repeated_to_the_bit():
    samples, _ = nuclei_with_strokes()
    settings = TrainingSettings(epochs=2, batch_size=8, device="cpu")
    begin = {"initial_weights": read_starter_weights(), "start": START}
    kept: list = []
    _, straight = listen(
        train(samples, "unet", settings, **begin, keep=kept.append, keep_seconds=0)
    )
    assert straight.card.scores["repeat"]["start"] == START
    repeated = run(repeat_run(straight.card, samples, initial_weights=read_starter_weights()))
    resumed = run(train(samples, "unet", resume_from=kept[0]))
    for name, tensor in straight.network.state_dict().items():
        assert torch.equal(tensor, repeated.network.state_dict()[name])
        assert torch.equal(tensor, resumed.network.state_dict()[name])
    with pytest.raises(UserError, match="other weights") as refused:
        run(repeat_run(straight.card, samples))
    assert refused.value.code == "CN-205"


def test_the_script_makes_the_same_file_again_from_simulated_pictures_only(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "NAPARI_CONVNET_DATA"}
    paths = [tmp_path / name / "unet.safetensors" for name in ("first", "again")]
    more = ["--steps", "2", "--pictures", "3", "--simulated"]
    running = [
        subprocess.Popen([sys.executable, str(SCRIPT), str(path.parent), *more], env=environment)
        for path in paths
    ]
    assert [process.wait() for process in running] == [0, 0]
    path = paths[0]
    assert path.read_bytes() == paths[1].read_bytes()
    card = starter_card(path)
    assert "2 steps of 8 patches" in path.with_name("README.md").read_text(encoding="utf-8")
    assert (card["steps"], card["files"], len(card["simulated"])) == (2, [], 6)
    network = build_network("unet", 3, 2)
    assert set(adapt_weights(network, read_starter_weights(path))) == {"head.weight", "head.bias"}


def test_a_model_of_the_command_line_says_where_it_began(tmp_path):
    sample = read_sample("nuclei_1")
    for folder, array in (("images", sample.image[0]), ("labels", sample.labels)):
        (tmp_path / folder).mkdir()
        imwrite(tmp_path / folder / "a.tif", array[:128, :128])
    command = ["train", "segment", "--images", "images", "--labels", "labels", "--instances"]
    command += ["--epochs", "1", "--device", "cpu", "-o"]
    for more, kind in ((["--pretrained", "starter"], "starter"), ([], None)):
        model = tmp_path / f"{kind}.safetensors"
        arguments = [str(tmp_path / a) if a in ("images", "labels") else a for a in command]
        found = CliRunner().invoke(app, [*arguments, str(model), *more])
        assert found.exit_code == 0, found.output
        start = load_model(model).card.scores["repeat"]["start"]
        assert start == (START if kind else None)


@pytest.mark.parametrize("is_right", [True, False])
def test_live_training_holds_on_to_them_only_where_they_are_right(is_right):
    samples, _ = nuclei_with_strokes()
    if not is_right:  # what they call objects is called background here
        swapped = tuple(np.where(t < 0, t, 1 - t).astype(np.int16) for t in samples.targets)
        samples = replace(samples, targets=swapped)
    settings = TrainingSettings(batch_size=4, device="cpu")
    request = LiveRequest("unet", settings, ("a",), 64, initial_weights=read_starter_weights())
    network = LiveNetwork(request, samples, torch.device("cpu"))
    assert isinstance(network._stepper, ConsistentStepper) == is_right
    batches = samples.training_batches(4, torch.Generator().manual_seed(0), augment=None)
    losses = [network.take(*next(batches))[0] for _ in range(3)]
    assert np.isfinite(losses).all()
    assert network.step == 3


def test_live_training_lets_go_of_them_when_strokes_come_that_they_are_wrong_on():
    samples, _ = nuclei_with_strokes()
    settings = TrainingSettings(batch_size=4, device="cpu")
    request = LiveRequest("unet", settings, ("a",), 64, initial_weights=read_starter_weights())
    network = LiveNetwork(request, samples, torch.device("cpu"))
    batches = samples.training_batches(4, torch.Generator().manual_seed(0), augment=None)
    teacher = network._stepper.teacher
    first = {name: value.clone() for name, value in teacher.state_dict().items()}
    for _ in range(3):
        network.take(*next(batches))
    assert all(torch.equal(value, first[name]) for name, value in teacher.state_dict().items())
    assert not torch.equal(network.module.state_dict()["head.weight"], first["head.weight"])
    network.learn_from(replace(samples, patch_size=32))  # other strokes on which they are right
    assert network._stepper.teacher is teacher
    swapped = tuple(np.where(t < 0, t, 1 - t).astype(np.int16) for t in samples.targets)
    learned = network.module.state_dict()["head.weight"].clone()
    network.learn_from(replace(samples, targets=swapped))
    assert type(network._stepper) is Stepper
    assert torch.equal(network.module.state_dict()["head.weight"], learned)  # it goes on
    network.take(*next(batches))
    assert network.step == 4
