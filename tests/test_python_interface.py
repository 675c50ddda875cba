"""A script can do what the docks can, with the package's public names alone."""

import subprocess
import sys
from collections.abc import Generator

import numpy as np
import pytest

import napari_convnet
from napari_convnet import (
    ClassificationSet,
    SegmentationSet,
    TrainingSettings,
    classify_objects,
    load_model,
    make_classes,
    run,
    save_model,
    segment_image,
    train,
)
from napari_convnet.images import clean_image
from napari_convnet.prediction import object_centres
from napari_convnet.samples import AnnotatedObjects, AnnotatedPixels
from synthetic_pictures import draw_blobs, draw_shape

CELLS = make_classes(["disk", "square"])


def test_every_public_name_is_there_and_listed():
    for name in napari_convnet.__all__:
        assert getattr(napari_convnet, name) is not None
    assert set(dir(napari_convnet)) == set(napari_convnet.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = napari_convnet.nonsense


def test_importing_the_package_brings_in_neither_torch_nor_qt():
    code = "import sys, napari_convnet; print([m for m in ('torch', 'qtpy', 'napari') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def plate(seed, n=80):
    """Draw a plate of shapes with its instance labels and true class values."""
    random = np.random.default_rng(seed)
    values = random.integers(1, 3, n)
    image = np.zeros((8 * 24, n // 8 * 24), np.float32)
    labels = np.zeros(image.shape, np.uint16)
    for index, value in enumerate(values):
        rows, columns = (slice(24 * k, 24 * k + 24) for k in (index % 8, index // 8))
        image[rows, columns] = draw_shape(value == 2, random)
        labels[rows, columns][8:16, 8:16] = index + 1
    return clean_image(image, "YX"), labels, values


def test_cells_are_annotated_trained_saved_loaded_and_classified(tmp_path):
    annotated = []
    for seed in range(3):
        image, labels, values = plate(seed)
        _, centres = object_centres(labels)
        annotated.append(AnnotatedObjects(image, centres, values))
    samples = ClassificationSet.from_objects(annotated, CELLS, patch_size=24)
    settings = TrainingSettings(epochs=8, batch_size=16, learning_rate=5e-3)
    model = run(train(samples, settings=settings, network_settings={"width": 16, "blocks": 3}))
    save_model(model, tmp_path / "cells.safetensors")

    image, labels, values = plate(7)
    result = run(
        classify_objects(load_model(tmp_path / "cells.safetensors"), image, *object_centres(labels))
    )
    assert (result.values == values).mean() >= 0.9


def test_strokes_are_trained_saved_loaded_and_segmented(tmp_path):
    image, mask = draw_blobs(0)
    labels = np.zeros(mask.shape, np.uint8)
    drawn = np.random.default_rng(0).random(mask.shape) < 0.05
    labels[drawn] = mask[drawn] + 1
    classes = make_classes(["background", "blob"])
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(clean_image(image, "YX"), labels)], classes, patch_size=32
    )
    settings = TrainingSettings(epochs=6, batch_size=8, learning_rate=5e-3)
    model = run(train(samples, settings=settings, network_settings={"width": 8, "levels": 2}))
    save_model(model, tmp_path / "blobs.safetensors")

    image, mask = draw_blobs(3)
    result = run(
        segment_image(load_model(tmp_path / "blobs.safetensors"), clean_image(image, "YX"))
    )
    found = result.classes == 2
    assert (found & mask).sum() / (found | mask).sum() > 0.8
    assert 1 <= result.objects.max() <= 20


def test_a_job_is_a_generator_of_progress():
    image, mask = draw_blobs(0)
    samples = SegmentationSet.from_annotations(
        [AnnotatedPixels(clean_image(image, "YX"), mask.astype(np.uint8) + 1)],
        make_classes(["background", "blob"]),
        patch_size=32,
    )
    steps = train(samples, settings=TrainingSettings(epochs=1))
    assert isinstance(steps, Generator)
    event = next(steps)
    steps.close()
    assert event.done == 0
    assert event.total > 0
    assert event.text
