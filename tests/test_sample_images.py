"""The sample images: their files, their truth, and that simple methods do not solve them."""

from __future__ import annotations

import csv
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.filters import threshold_otsu
from skimage.measure import regionprops_table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from napari_convnet import sample_data
from napari_convnet.errors import UserError
from napari_convnet.sample_data import SAMPLE_NAMES, Sample, read_sample, sample_folder

COMMITTED = Path(__file__).parents[1] / "sample_images"
OPENERS = {
    "blood_smear_1": sample_data.open_blood_smear,
    "blood_smear_2": sample_data.open_blood_smear_2,
    "nuclei_1": sample_data.open_nuclei,
    "nuclei_2": sample_data.open_nuclei_2,
    "bacteria_1": sample_data.open_bacteria,
    "bacteria_2": sample_data.open_bacteria_2,
    "bead_film": sample_data.open_bead_film,
    "nuclei_stack": sample_data.open_nuclei_stack,
}
WITH_CLASSES = [name for name in SAMPLE_NAMES if name.startswith(("blood", "nuclei_1", "nuclei_2"))]
WITH_LABELS = [name for name in SAMPLE_NAMES if name != "bead_film"]


def channels_last(sample: Sample) -> np.ndarray:
    return np.moveaxis(sample.image, sample.axes.index("C"), -1)


def colour_and_area(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's mean of every channel with its area, and its class."""
    sample = read_sample(name)
    table = regionprops_table(
        sample.labels, channels_last(sample), properties=("label", "area", "intensity_mean")
    )
    names = np.array([sample.classes[int(label)] for label in table.pop("label")])
    return np.stack(list(table.values()), axis=1), names


@pytest.mark.parametrize("kind", ["blood_smear", "nuclei"])
def test_colour_and_area_do_not_tell_the_classes_apart(kind: str) -> None:
    features, classes = colour_and_area(f"{kind}_1")
    other_features, other_classes = colour_and_area(f"{kind}_2")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))

    accuracy = model.fit(features, classes).score(other_features, other_classes)

    assert accuracy < 0.80


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_no_class_makes_up_most_cells_and_every_class_has_twenty(name: str) -> None:
    counts = Counter(read_sample(name).classes.values())

    assert max(counts.values()) < 0.6 * counts.total()
    assert min(counts.values()) >= 20
    assert 100 <= counts.total() <= 160


@pytest.mark.parametrize("name", ["nuclei_1", "nuclei_2", "bacteria_1", "bacteria_2"])
def test_a_global_threshold_does_not_find_the_objects(name: str) -> None:
    sample = read_sample(name)
    image = sample.image[0] if "C" in sample.axes else sample.image
    truth = sample.labels > 0
    bright = image > threshold_otsu(image)

    best = max((mask & truth).sum() / (mask | truth).sum() for mask in (bright, ~bright))

    assert best < 0.70


@pytest.mark.parametrize("name", WITH_LABELS)
def test_labels_lie_on_the_image_and_hardly_a_number_is_missing(name: str) -> None:
    sample = read_sample(name)
    shape = dict(zip(sample.axes, sample.image.shape, strict=True))
    shape.pop("C", None)

    assert sample.labels.dtype == np.uint16
    assert sample.labels.shape == tuple(shape.values())
    # The image's edge may leave nothing of an object, so a number may be missing, but few are.
    present = np.unique(sample.labels)[1:]
    assert len(present) >= 0.95 * present.max()


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_every_label_has_a_class_and_every_class_a_label(name: str) -> None:
    sample = read_sample(name)

    assert set(sample.classes) == set(np.unique(sample.labels).tolist()) - {0}


def test_bead_lies_where_the_table_says() -> None:
    sample = read_sample("bead_film")
    # What does not move is the background: the bacterium and the bead that is stuck.
    cleaned = sample.image - np.median(sample.image, axis=0)
    y, x = np.indices(cleaned.shape[1:])
    distances = []
    for frame, position in zip(cleaned, sample.positions, strict=True):
        weight = np.clip(frame - 0.4 * frame.max(), 0, None)
        centroid = np.array([(weight * y).sum(), (weight * x).sum()]) / weight.sum()
        distances.append(np.hypot(*(centroid - position)))

    assert sample.positions.shape == (120, 2)
    assert np.mean(distances) < 0.5


def test_sample_images_take_less_than_four_megabytes() -> None:
    assert sum(path.stat().st_size for path in COMMITTED.iterdir() if path.is_file()) < 4_000_000


def read_array(path: Path) -> np.ndarray:
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return np.array(picture)
    return tifffile.imread(path)


def test_script_makes_the_committed_files_again(tmp_path: Path) -> None:
    script = COMMITTED / "make_sample_images.py"
    subprocess.run([sys.executable, "-B", script, "--out", tmp_path], check=True, timeout=200)

    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(
        path.name for path in COMMITTED.iterdir() if path.suffix in {".png", ".tif", ".csv"}
    )
    for name in made:
        new, old = tmp_path / name, COMMITTED / name
        if new.read_bytes() == old.read_bytes():
            continue
        # Another processor or zlib may round or pack otherwise; it must not show.
        if new.suffix == ".csv":
            assert list(csv.reader(new.open())) == list(csv.reader(old.open())), name
        else:
            difference = np.abs(read_array(new).astype(int) - read_array(old))
            assert (difference > 0).mean() < 1e-3, name


def test_same_seed_gives_the_same_image_and_another_seed_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(COMMITTED)
    bead_film = importlib.import_module("simulated_bead").bead_film

    first, again, other = (bead_film(seed)[0].image for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_layers_can_be_made_from_every_sample(name: str) -> None:
    layers = pytest.importorskip("napari.layers")
    sample = read_sample(name)
    spatial = [axis.lower() for axis in sample.axes if axis != "C"]

    for data, options, kind in OPENERS[name]():
        titles = options.pop("name")
        channel_axis = options.pop("channel_axis", None)
        parts = [data] if channel_axis is None else list(np.moveaxis(data, channel_axis, 0))
        titles = titles if isinstance(titles, list) else [titles]
        colormaps = options.pop("colormap", [None] * len(parts))
        make = {"image": layers.Image, "labels": layers.Labels}[kind]
        for part, title, colormap in zip(parts, titles, colormaps, strict=True):
            extra = {"colormap": colormap} if colormap else {}
            layer = make(part, name=title, **options, **extra)
            assert list(layer.axis_labels) == spatial
            assert tuple(layer.scale) == sample.scale
            assert [str(unit) for unit in layer.units] == list(sample.units)


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_cells_come_as_plain_outlines_that_do_not_give_the_class_away(name: str) -> None:
    data, options, kind = OPENERS[name]()[-1]

    assert (options["name"], options["opacity"], kind) == ("cells", 0.4, "labels")
    assert "features" not in options
    assert data.max() > len(set(read_sample(name).classes.values()))


def test_folder_holds_the_very_files_of_the_checkout() -> None:
    for name in (path.name for path in COMMITTED.glob("*.tif")):
        assert (sample_folder() / name).read_bytes() == (COMMITTED / name).read_bytes(), name


def test_unknown_sample_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UserError, match="nuclei_stack") as refusal:
        read_sample("../secret")

    assert refusal.value.code == "CN-643"


def test_missing_sample_images_are_said_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sample_data.importlib.resources, "files", lambda _name: tmp_path)

    with pytest.raises(UserError, match="missing") as refusal:
        sample_folder()

    assert refusal.value.code == "CN-643"
    assert len(refusal.value.message) <= 300
