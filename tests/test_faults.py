"""Faults of the catalogue that no other test injects, each in the core and for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_convnet import UserError, make_classes, run, train
from napari_convnet.images import Normalisation, clean_image
from napari_convnet.model_file import load_model
from napari_convnet.prediction import classify_objects, object_centres, segment_image
from napari_convnet.project import Project, backups_of
from napari_convnet.samples import (
    AnnotatedObjects,
    AnnotatedPixels,
    ClassificationSet,
    SegmentationSet,
)
from napari_convnet.settings import TrainingSettings
from synthetic_pictures import shape_set

ONE_EPOCH = TrainingSettings(epochs=1, device="cpu")


def test_integers_that_float32_cannot_count_are_normalised():
    counts = np.random.default_rng(0).integers(0, 1000, (40, 40))
    expected = Normalisation().apply(clean_image(counts, "YX").pixels)
    for dtype, shift in (("u4", 20), ("i8", 50), (">u8", 50)):
        image = clean_image(counts.astype(dtype) << shift, "YX")
        np.testing.assert_allclose(Normalisation().apply(image.pixels), expected, atol=1e-4)


TINY = [(1, 1), (1, 40), (2, 2), (7, 5)]


def painted(shape, name="image") -> AnnotatedPixels:
    """Return noise whose left half is class 1 and whose right half is class 2."""
    image = np.random.default_rng(0).normal(100, 8, shape)
    labels = np.ones(shape, np.uint8)
    labels[:, shape[1] // 2 :] = 2
    return AnnotatedPixels(clean_image(image, "YX", name), labels)


def clicked(shape, name="image") -> AnnotatedObjects:
    image = clean_image(np.random.default_rng(0).normal(100, 8, shape), "YX", name)
    return AnnotatedObjects(image, np.array([[0, 0], [0, shape[1] - 1]]), np.array([1, 2]))


@pytest.mark.parametrize("shape", [*TINY[1:], (15, 200)])
def test_training_on_nothing_but_tiny_images_is_refused(shape):
    classes = make_classes(["a", "b"])
    said = rf"'crumb' is {shape[0]} x {shape[1]} pixels, smaller than 16 x 16"
    with pytest.raises(UserError, match=said) as caught:
        SegmentationSet.from_annotations([painted(shape, "crumb")], classes, patch_size=32)
    assert caught.value.code == "CN-628"
    with pytest.raises(UserError, match=said) as caught:
        ClassificationSet.from_objects([clicked(shape, "crumb")], classes, patch_size=32)
    assert caught.value.code == "CN-628"


def test_a_tiny_image_beside_a_larger_one_is_padded_and_trained_on():
    classes = make_classes(["a", "b"])
    samples = SegmentationSet.from_annotations(
        [painted((7, 5)), painted((16, 40))], classes, patch_size=32
    )
    model = run(train(samples, "unet", ONE_EPOCH))
    assert run(segment_image(model, painted((7, 5)).image)).classes.shape == (7, 5)
    cells = [clicked((7, 5)), clicked((16, 40))]
    assert len(ClassificationSet.from_objects(cells, classes, patch_size=32).targets) == 4


@pytest.mark.parametrize("shape", TINY)
def test_a_tiny_image_is_padded_and_predicted(segmenter, classifier, shape):
    image = clean_image(np.random.default_rng(0).normal(100, 8, shape), "YX")
    found = run(segment_image(segmenter, image))
    assert found.classes.shape == found.objects.shape == shape
    assert (found.classes > 0).all()
    result = run(classify_objects(classifier, image, np.array([3]), np.array([[0.0, 0.0]])))
    assert result.labels.tolist() == [3]
    assert np.isfinite(result.probabilities).all()


@pytest.mark.parametrize("shape", [(255, 257), (33, 31), (127, 61)])
def test_odd_and_prime_sizes_come_back_exactly(segmenter, shape):
    image = clean_image(np.random.default_rng(0).normal(100, 8, shape), "YX")
    result = run(segment_image(segmenter, image, tile_size=128))
    assert result.classes.shape == result.objects.shape == shape
    assert (result.classes > 0).all()


@pytest.fixture(scope="module")
def classifier():
    return run(train(shape_set(12), "convnet", ONE_EPOCH))


def test_label_values_of_any_size_keep_their_cells():
    labels = np.zeros((60, 60), np.int64)
    values = (1, 7, 300, 2**40)
    for value, corner in zip(values, (2, 16, 30, 44), strict=True):
        labels[corner : corner + 10, corner : corner + 10] = value
    present, centres = object_centres(labels)
    assert present.tolist() == list(values)
    image = clean_image(np.random.default_rng(0).normal(0, 1, (60, 60)), "YX")
    model = run(train(shape_set(12), "convnet", ONE_EPOCH))
    assert run(classify_objects(model, image, present, centres)).labels.tolist() == list(values)


AT_ONCE = """
import sys, threading
import numpy as np
sys.path.insert(0, sys.argv[3])
from napari_convnet import run, train
from napari_convnet.images import clean_image
from napari_convnet.model_file import save_model
from napari_convnet.prediction import classify_objects
from napari_convnet.project import Project
from napari_convnet.settings import TrainingSettings
from synthetic_pictures import shape_set

settings, model_file = TrainingSettings(epochs=1, device="cpu"), sys.argv[2]
samples, image = shape_set(12), clean_image(np.eye(60), "YX")
model = run(train(samples, "convnet", settings))

def train_and_save():
    while True:
        save_model(run(train(samples, "convnet", settings)), model_file)

def predict():
    while True:
        run(classify_objects(model, image, np.array([1]), np.array([[30.0, 30.0]])))

save_model(model, model_file)
project = Project.open(sys.argv[1], backup_folder=sys.argv[1] + " backups")
for work in (train_and_save, predict):
    threading.Thread(target=work, daemon=True).start()
for label in range(1, 10**9):
    project.set_object_class(1, "nuclei", label, (), (1, 1), 1)
    print(label, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_kill_while_training_predicting_and_saving_leaves_all_files_sound(tmp_path):
    path, model_file = tmp_path / "a.convnet", tmp_path / "a.safetensors"
    with Project.create(path, backup_folder=tmp_path / "backups") as project:
        project.set_classes("classify", make_classes(["round", "long"]))
        project.add_image("dapi", "", (600, 600), "uint8", "YX")
    arguments = (str(path), str(model_file), str(Path(__file__).parent))
    command = [sys.executable, "-c", AT_ONCE, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        seen = [child.stdout.readline()]
        time.sleep(0.5)
        child.send_signal(signal.SIGKILL)
        seen += child.stdout.read().splitlines(keepends=True)
    last = int([line for line in seen if line.endswith("\n")][-1])
    with Project.open(path, backup_folder=tmp_path / "backups") as project:
        assert project.damage == ()
        assert len(project.object_annotations(1)) in (last, last + 1)
    assert load_model(model_file).card.task == "classify"


def may(*command: str) -> bool:
    """Whether this computer has and allows a program."""
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


REFUSED = """
import os, sys
from napari_convnet import UserError
from napari_convnet.atomic import write_atomically
try:
    write_atomically(sys.argv[1], b"new" * 1000)
except UserError as error:
    print(error.code, error.message)
"""


@pytest.mark.skipif(not may("strace", "-qq", "true"), reason="strace is missing or not allowed")
@pytest.mark.parametrize("fault", ["EACCES", "EROFS", "EPERM"])
def test_a_permission_lost_between_writing_and_renaming_is_told(tmp_path, fault):
    target = tmp_path / "here" / "m.safetensors"
    target.parent.mkdir()
    target.write_bytes(b"old")
    calls = "rename,renameat,renameat2"
    strace = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", f"trace={calls}"]
    inject = ["-e", f"inject={calls}:error={fault}"]
    command = [*strace, *inject, sys.executable, "-Bc", REFUSED, str(target)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "INJECTED" in (tmp_path / "trace").read_text()
    assert ended.stdout.startswith("CN-301 Not saved: 'm.safetensors'")
    assert target.read_bytes() == b"old"
    assert os.listdir(target.parent) == [target.name]


UNPLUGGED = """
import subprocess, sys
from pathlib import Path
from napari_convnet import UserError, make_classes
from napari_convnet.project import Project

stick, elsewhere = Path(sys.argv[1], "stick"), Path(sys.argv[1], "copy.convnet")
project = Project.create(stick / "a.convnet", backup_folder=Path(sys.argv[1], "backups"))
project.set_classes("classify", make_classes(["a", "b"]))
project.add_image("dapi", "", (60, 60), "uint8", "YX")
project.set_object_class(1, "cells", 1, (), (1, 1), 1)
subprocess.run(["umount", "-l", stick], check=True)
try:
    project.set_object_class(1, "cells", 2, (), (2, 2), 1)
except UserError as error:
    print(error.code)
project.save_copy(elsewhere)
with Project.open(elsewhere, read_only=True) as copy:
    print(len(copy.object_annotations(1)), copy.damage)
"""


@pytest.mark.skipif(not may("unshare", "-rm", "true"), reason="needs a file system of its own")
def test_a_disk_that_is_unplugged_while_open_is_told_and_its_project_saved_elsewhere(tmp_path):
    (tmp_path / "stick").mkdir()
    mount = 'mount -t tmpfs tmpfs "$3/stick" && exec "$1" -c "$2" "$3"'
    shell = ["sh", "-c", mount, "sh", sys.executable, UNPLUGGED, str(tmp_path)]
    ended = subprocess.run(["unshare", "-rm", *shell], capture_output=True, text=True)
    assert ended.stdout.splitlines() == ["CN-308", "1 ()"], ended.stderr
    assert os.listdir(tmp_path / "stick") == []


def test_backups_are_in_order_though_the_clock_goes_back(tmp_path, monkeypatch):
    path, folder = tmp_path / "a.convnet", tmp_path / "backups"
    Project.create(path, backup_folder=folder).close()
    for year in (2030, 2020, 1999):
        time_then = f"{year}-01-01T00:00:00.000Z"
        monkeypatch.setattr("napari_convnet.project.backups.now", lambda then=time_then: then)
        with Project.open(path, backup_folder=folder) as project:
            project.add_image(f"of {year}", "", (60, 60), "uint8", "YX")
    Project.open(path, backup_folder=folder).close()
    found = backups_of(path, folder)
    for age, backup in enumerate(found):  # the disk's own times say the opposite
        os.utime(backup, (10**9 + age, 10**9 + age))
    assert backups_of(path, folder) == found
    with Project.open(found[0], read_only=True) as newest:
        assert [image.name for image in newest.images()] == ["of 2030", "of 2020", "of 1999"]


def test_a_backup_that_a_crash_left_unfinished_goes_and_files_of_others_stay(tmp_path):
    path, folder = tmp_path / "a.convnet", tmp_path / "backups"
    with Project.create(path, backup_folder=folder) as project:
        project.add_image("dapi", "", (60, 60), "uint8", "YX")
    Project.open(path, backup_folder=folder).close()
    place = backups_of(path, folder)[0].parent
    (place / "unfinished.part").write_bytes(b"half a backup")
    (place / "theirs.part").write_bytes(b"theirs")
    with Project.open(path, backup_folder=folder) as project:
        project.add_image("actin", "", (60, 60), "uint8", "YX")
    Project.open(path, backup_folder=folder).close()
    left = {file.name for file in place.iterdir()} - {b.name for b in backups_of(path, folder)}
    assert left == {"theirs.part"}
