"""Stacks learned and predicted in three dimensions: what is held out, blocks as one whole, objects through slices."""

import csv
import json
import threading

import numpy as np
import pytest
import tifffile
import torch

from data_folders import command, one_message
from napari_convnet import TrainingSettings, run, train
from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.evaluation import compare_masks, compare_stacks, evaluate_stacks
from napari_convnet.images import CleanImage, clean_image
from napari_convnet.model_file import Model, load_model, save_model
from napari_convnet.networks import build_network
from napari_convnet.networks.network_settings import UNet3dSettings
from napari_convnet.networks.unet3d import UNet3d
from napari_convnet.prediction import segment_stack
from napari_convnet.prediction.blocks import cut_blocks
from napari_convnet.prediction.volumes import predict_volume
from napari_convnet.samples import (
    AnnotatedStack,
    AugmentationSettings,
    StackSet,
    augmented_samples,
    held_out_sha256,
)
from napari_convnet.samples.stacks import augment_stack
from synthetic_pictures import blob_set
from training_helpers import listen

CLASSES = make_classes(("background", "ball"))
SHAPE = (10, 48, 64)


def draw_balls(seed: int = 0, shape=SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Draw bright balls, flat along Z, and beams through all slices of the same brightness that are background.

    Whether a bright disk is a ball or a beam is seen only in the slices above and below.
    """
    random = np.random.default_rng(seed)
    planes, rows, columns = np.ogrid[: shape[0], : shape[1], : shape[2]]
    balls, beams = np.zeros(shape, bool), np.zeros(shape, bool)
    places = [
        (row, column) for row in range(10, shape[1], 14) for column in range(10, shape[2], 14)
    ]
    for number, (row, column) in enumerate(random.permutation(places)):
        disk = (rows - row) ** 2 + (columns - column) ** 2
        if number % 2:
            beams |= (disk < 20) & (planes >= 0)
        else:
            z = random.integers(2, shape[0] - 2)
            balls |= disk / 20 + (planes - z) ** 2 / 9 < 1
    stack = 100 + 50 * (balls | beams) + random.normal(0, 5, shape)
    return stack.astype(np.float32), balls


def planes_of(stack: np.ndarray) -> list[CleanImage]:
    return [clean_image(plane, "YX", f"slice {z}") for z, plane in enumerate(stack)]


def annotated(seed: int = 0, share: float = 0.8, slices=slice(None)) -> AnnotatedStack:
    """Annotate a part of the voxels of some slices."""
    stack, balls = draw_balls(seed)
    labels = (balls + 1).astype(np.uint8)
    labels[np.random.default_rng(seed).random(SHAPE) > share] = 0
    kept = np.zeros_like(labels)
    kept[slices] = labels[slices]
    return AnnotatedStack.of_planes(planes_of(stack), kept)


@pytest.fixture(scope="module")
def model():
    """A 3-D UNet that learned from four slices in ten of two stacks."""
    parts = [annotated(seed, slices=[1, 3, 5, 8]) for seed in (0, 1)]
    samples = StackSet.from_annotations(parts, CLASSES, patch_size=32)
    settings = TrainingSettings(epochs=5, batch_size=2, learning_rate=5e-3)
    small = {"width": 8, "levels": 2}
    return run(train(samples, settings=settings, network_settings=small, name="balls"))


def test_a_network_of_stacks_learns_what_a_single_slice_cannot_tell(model, tmp_path):
    assert model.card.network == "unet3d"
    save_model(model, tmp_path / "balls.safetensors")
    loaded = load_model(tmp_path / "balls.safetensors")
    stack, balls = draw_balls(7)
    found = run(segment_stack(loaded, planes_of(stack), SHAPE, linked_axis=0, device="cpu"))
    both = (found.classes == 2) & balls
    iou = both.sum() / ((found.classes == 2) | balls).sum()
    assert iou > 0.6  # of the bright disks, less than a third are balls
    assert found.n_planes == len(stack)


def test_blocks_give_what_the_whole_stack_gives():
    torch.manual_seed(0)
    network = UNet3d(1, 2, UNet3dSettings(width=4, levels=2, halve_depth_from=1)).eval()
    for layer in network.modules():  # of a trained network, they are not 0 and 1
        if isinstance(layer, torch.nn.BatchNorm3d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    shape = (21, 50, 67)
    stack = torch.randn(1, 1, *shape)
    blocks = list(cut_blocks(shape, (4, 16, 20), network))
    assert len(blocks) > 60
    with torch.inference_mode():
        whole, put_together = network(stack)[0], torch.zeros(2, *shape)
        for block in blocks:
            answer = network(stack[:, :, *block.read])[0]
            put_together[:, *block.write] = answer[:, *block.within]
    torch.testing.assert_close(put_together, whole, rtol=0, atol=1e-4)


def test_radii_hold_everything_that_a_voxel_can_influence():
    for first_deep in (0, 1, 2):
        network = UNet3d(
            1, 1, UNet3dSettings(width=4, levels=2, halve_depth_from=first_deep)
        ).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.abs_()  # so that no rectifier hides anything
        radii = network.receptive_radii
        sides = [2 * radius + 9 for radius in radii]
        stack = torch.ones(1, 1, *sides, requires_grad=True)
        for shift in (0, 1, 2, 3):
            place = [side // 2 + shift for side in sides]
            stack.grad = None
            network(stack)[0, 0][*place].backward()
            seen = stack.grad[0, 0].nonzero() - torch.tensor(place)
            reach = seen.abs().amax(0).tolist()
            assert all(0 < r <= radius for r, radius in zip(reach, radii, strict=True)), (
                reach,
                radii,
            )
            assert all(r >= radius / 2 for r, radius in zip(reach, radii, strict=True))


def test_the_prediction_does_not_depend_on_the_blocks_and_keeps_what_is_done(model):
    stack, _ = draw_balls(7)
    whole, blocks = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    run(predict_volume(model, planes_of(stack), whole, device="cpu"))
    steps = predict_volume(model, planes_of(stack), blocks, sides=(4, 16, 16), device="cpu")
    events, _ = listen(steps)
    assert (whole == blocks).mean() > 0.9999  # a tie may fall either way
    assert events[-1].done == events[-1].total == 3 * 3 * 4
    stop, part = threading.Event(), np.zeros(SHAPE, np.uint8)
    steps = predict_volume(
        model, planes_of(stack), part, sides=(4, 16, 16), device="cpu", stop=stop
    )

    def react(event):
        if event.text.startswith("block 5 "):
            stop.set()

    listen(steps, react)
    assert 0 < (part > 0).mean() < 0.5
    assert np.array_equal(part[part > 0], blocks[part > 0])


def test_a_stop_while_a_stack_is_read_keeps_the_stacks_before_it(model):
    planes = [*planes_of(draw_balls(7)[0]), *planes_of(draw_balls(8)[0])]
    stop = threading.Event()
    steps = segment_stack(model, planes, (2, *SHAPE), linked_axis=1, device="cpu", stop=stop)

    def react(event):
        if event.text.startswith("stack 2 of 2: reading slice 1 "):
            stop.set()

    events, found = listen(steps, react)
    assert "reading slice 1 " in events[-1].text  # nothing more is said, or the job would be closed
    assert found.n_planes == SHAPE[0]
    assert found.objects[0].any()
    assert not found.classes[1].any()


def test_objects_keep_their_number_through_the_slices(model):
    stack, _ = draw_balls(7)
    taken = {}

    def take(number, image, result, numbers):
        taken[number] = numbers[result.objects]

    found = run(
        segment_stack(model, planes_of(stack), SHAPE, linked_axis=0, take=take, device="cpu")
    )
    for number, plane in taken.items():
        assert np.array_equal(plane, found.objects[number])
    for label in np.unique(found.objects)[1:]:
        slices = np.flatnonzero((found.objects == label).any((1, 2)))
        assert np.array_equal(slices, np.arange(slices[0], slices[-1] + 1))
    spans = [
        len(np.flatnonzero((found.objects == k).any((1, 2)))) for k in np.unique(found.objects)[1:]
    ]
    assert max(spans) >= 3


def test_a_film_of_stacks_and_a_stack_without_depth(model):
    stack, _ = draw_balls(7)
    film = np.stack([stack, stack[::-1]])
    planes = [plane for volume in film for plane in planes_of(volume)]
    found = run(segment_stack(model, planes, film.shape, linked_axis=1, device="cpu"))
    alone = run(segment_stack(model, planes_of(stack[::-1]), SHAPE, linked_axis=0, device="cpu"))
    assert np.array_equal(found.classes[1], alone.classes)
    with pytest.raises(UserError) as error:
        run(segment_stack(model, planes, film.shape, device="cpu"))
    assert error.value.code == "CN-675"


def test_a_patch_is_of_one_area_and_what_is_not_painted_teaches_nothing():
    samples = StackSet.from_annotations(
        [annotated(0, share=0.02), annotated(1, share=0.02)], CLASSES, patch_size=16, depth=4
    )
    assert samples.in_channels == 1
    assert samples.input_size == (16, 16)
    assert "strip" in samples.description
    assert held_out_sha256(samples)
    training = np.zeros((2, *SHAPE), bool)
    held = np.zeros_like(training)
    for mask, areas in ((training, samples.training_areas), (held, samples.validation_areas)):
        for index, rows, columns in areas:
            mask[index][:, rows, columns] = True
    assert not (training & held).any()
    assert held.any((1, 2, 3)).all()
    random = torch.Generator().manual_seed(0)
    n_known = 0
    for inputs, targets in samples.training_batches(3, random, augment=AugmentationSettings()):
        assert inputs.shape == (3, 1, 4, 16, 16)
        assert targets.shape == (3, 4, 16, 16)
        assert (targets >= 0).flatten(1).any(1).all()
        n_known += int((targets >= 0).sum())
    assert n_known
    before, after = augmented_samples(samples, 3)
    assert before.shape == after.shape == (3, 1, 16, 16)  # a slice of each, to be looked at
    counted = sum(int((targets >= 0).sum()) for _, targets in samples.validation_batches(4))
    assert counted == samples.n_validation > 0


def test_three_stacks_hold_out_a_whole_one():
    parts = [annotated(seed) for seed in range(3)]
    samples = StackSet.from_annotations(parts, CLASSES, patch_size=16)
    assert samples.description == "1 of 3 stacks held out"
    assert samples.validation_areas[0][1:] == (slice(0, 48), slice(0, 64))


def test_augmentation_moves_targets_with_their_voxels():
    pixels = np.arange(2 * 4 * 6 * 6, dtype=np.float32).reshape(2, 4, 6, 6)
    targets = pixels[0].astype(np.int16)
    settings = AugmentationSettings(flip_y=True, contrast=0, brightness=0)
    random, seen = torch.Generator().manual_seed(0), set()
    for _ in range(60):
        moved, labels = augment_stack(pixels, targets, random, settings)
        assert np.array_equal(moved[0], labels)
        seen.add(labels.tobytes())
    assert len(seen) == 16  # 8 ways to lie in the plane, each two ways up
    still = AugmentationSettings(False, False, (0, 0), contrast=0, brightness=0)
    assert np.array_equal(augment_stack(pixels, targets, random, still)[0], pixels)


def test_the_command_trains_on_files_of_stacks_and_segments_them(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for seed in range(2):
        part = annotated(seed)
        stack, _ = draw_balls(seed)
        tifffile.imwrite(images / f"s{seed}.tif", stack, metadata={"axes": "ZYX"})
        tifffile.imwrite(labels / f"s{seed}.tif", part.labels, metadata={"axes": "ZYX"})
    model, out = tmp_path / "m.safetensors", tmp_path / "out"
    given = (
        "train", "segment", "--images", images, "--labels", labels, "-o", model, "--network", "unet3d",
        "--classes", "background,ball", "--size", 16, "--epochs", 1, "--device", "cpu",
    )  # fmt: skip
    result = command(*given)
    assert result.exit_code == 0, result.output
    card = load_model(model).card
    assert (card.network, len(card.classes)) == ("unet3d", 2)
    result = command("predict", model, images, "-o", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    classes = tifffile.imread(out / "s1_classes.tif")
    objects = tifffile.imread(out / "s1_objects.tif")
    assert classes.shape == objects.shape == SHAPE
    with (out / "objects.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].endswith("s1.tif")]
    assert [int(row["voxels"]) for row in rows] == np.bincount(objects.ravel())[1:].tolist()
    for row in rows:
        place = np.argwhere(objects == int(row["label"]))
        assert float(row["z"]) == pytest.approx(place[:, 0].mean())
        assert float(row["x"]) == pytest.approx(place[:, 2].mean())
        assert int(row["z_max"]) == place[:, 0].max()
    scored = ("evaluate", model, "--images", images, "--labels", labels, "--report", out / "r.json")
    result = command(*scored)
    assert result.exit_code == 0, result.output
    whole = run(evaluate_stacks(load_model(model), [
        (planes_of(draw_balls(seed)[0]), annotated(seed).labels) for seed in range(2)
    ], ["s0", "s1"], device="cpu"))  # fmt: skip
    report = json.loads((out / "r.json").read_text())
    assert report["mean_iou"] == pytest.approx(whole["mean_iou"], abs=1e-6)
    one_message(command(*scored, "--instances"), "CN-509")
    tifffile.imwrite(labels / "s1.tif", annotated(1).labels + 1, metadata={"axes": "ZYX"})
    one_message(command(*scored), "CN-641")  # there are two classes
    tifffile.imwrite(labels / "s1.tif", annotated(1).labels, metadata={"axes": "ZYX"})
    one_message(command(*given, "--instances"), "CN-506")
    for axes in ("CYX", "TYX"):  # a file that says that it is no stack
        tifffile.imwrite(images / "s1.tif", stack, metadata={"axes": axes})
        one_message(command(*given), "CN-677")
    tifffile.imwrite(images / "s1.tif", stack[0])
    one_message(command(*given), "CN-677")


def test_networks_and_annotations_of_other_dimensions_are_refused(model):
    with pytest.raises(UserError) as error:
        run(train(blob_set(), "unet3d", TrainingSettings(epochs=1)))
    assert error.value.code == "CN-676"
    samples = StackSet.from_annotations([annotated(0)], CLASSES, patch_size=16)
    with pytest.raises(UserError) as error:
        run(train(samples, "unet", TrainingSettings(epochs=1)))
    assert error.value.code == "CN-676"
    with pytest.raises(UserError) as error:  # also when it begins with a model
        run(train(blob_set(), settings=TrainingSettings(epochs=1), initial_model=model))
    assert error.value.code == "CN-676"
    wrong = AnnotatedStack(np.zeros((1, *SHAPE), np.float32), np.zeros((3, 48, 64), int))
    with pytest.raises(UserError) as error:
        StackSet.from_annotations([wrong], CLASSES)
    assert error.value.code == "CN-613"


def test_a_plane_alone_is_a_stack_of_one():
    network = build_network("unet3d", 1, 2).eval()
    plane = torch.randn(1, 1, 30, 41)
    with torch.inference_mode():
        torch.testing.assert_close(network(plane), network(plane[:, :, None])[:, :, 0])


def test_a_network_of_stacks_is_compared_with_one_of_images(model, segmenter):
    named = segmenter.card.classes[1].model_copy(update={"name": "ball"})
    card = segmenter.card.model_copy(update={"classes": (segmenter.card.classes[0], named)})
    flat = Model(card, segmenter.network, segmenter.sample_input)
    stack, _ = draw_balls(7)
    planes = planes_of(stack)
    steps = compare_stacks(model, flat, planes, SHAPE, depth_axis=0, device="cpu")
    events, found = listen(steps)
    deep = run(segment_stack(model, planes, SHAPE, linked_axis=0, device="cpu")).classes
    single = run(segment_stack(flat, planes, SHAPE, device="cpu")).classes
    assert np.array_equal(found.first, deep)
    assert np.array_equal(found.second, single)
    assert found.comparison.n_different == (deep != single).sum() > 0
    assert events[-1].done == events[-1].total
    with pytest.raises(UserError) as error:
        run(compare_masks(flat, model, planes[0]))
    assert error.value.code == "CN-675"
    assert "Model B" in error.value.message
