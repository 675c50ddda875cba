"""Folders of unequal and broken images are read as far as they can be, and what was done is said."""

import threading

import numpy as np
import pytest
from PIL import Image

from napari_convnet import ClassificationSet, UserError, make_classes, run
from napari_convnet.folders import group_column, read_class_folder
from napari_convnet.samples import read_image_files, split_by_sample


@pytest.fixture
def folder(tmp_path):
    """Six images of each class: of two sizes, grey, colour, with a palette and with transparency."""
    modes = ["RGB", "L", "P", "RGBA", "RGB", "RGB"]
    random = np.random.default_rng(0)
    for name in ("bad", "good"):
        (tmp_path / name).mkdir()
        for index, mode in enumerate(modes):
            size = (20, 30) if index < 3 else (40, 40)
            pixels = random.integers(0, 255, (*size, 3)).astype(np.uint8)
            Image.fromarray(pixels).convert(mode).save(
                tmp_path / name / f"C{index // 2}_{index}.png"
            )
    return tmp_path


def refusal(action):
    with pytest.raises(UserError) as caught:
        action()
    return caught.value


def test_images_of_many_sizes_and_modes_make_a_training_set(folder):
    found = read_class_folder(folder)
    files = run(read_image_files(found, 16))
    assert "2 sizes, 20 x 30 to 40 x 40 pixels) are resized to 16 x 16" in files.note
    assert "2 grey images are taken as colour ones" in files.note
    samples = ClassificationSet.from_images(
        files.images.__getitem__, found.targets, make_classes(found.class_names),
        split_by_sample(found.targets, 0.3, 0), input_size=16,
    )  # fmt: skip
    assert samples.patches.shape == (12, 3, 16, 16)


def test_equal_images_need_no_words(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((16, 16), 7, np.uint8)).save(tmp_path / name / "x.png")
    assert run(read_image_files(read_class_folder(tmp_path), 16)).note == ""


def test_images_of_8_and_16_bits_together_are_said(folder):
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(folder / "bad" / "deep.png")
    assert (
        "12 images have 8 bits and 1 more"
        in run(read_image_files(read_class_folder(folder), 16)).note
    )


def test_broken_files_are_all_named_and_can_be_skipped(folder):
    (folder / "bad" / "torn.png").write_bytes((folder / "bad" / "C0_0.png").read_bytes()[:400])
    (folder / "good" / "text.jpg").write_text("no image")
    found = read_class_folder(folder)
    error = refusal(lambda: run(read_image_files(found, 16)))
    assert error.code == "CN-634"
    assert "2 of 14" in error.message
    assert "torn.png" in error.message
    assert "text.jpg" in error.message
    files = run(read_image_files(found, 16, skip_broken=True))
    assert sorted(path.name for path in files.broken) == ["text.jpg", "torn.png"]
    assert len(files.images) == 12
    kept = found.subset(files.kept)
    assert all(path not in files.broken for path in kept.files)
    assert kept.targets.tolist() == [0] * 6 + [1] * 6


def test_a_folder_of_broken_files_is_refused_also_when_they_are_skipped(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_text("no image")
    found = read_class_folder(tmp_path)
    assert refusal(lambda: run(read_image_files(found, 8, skip_broken=True))).code == "CN-634"


def test_reading_can_be_stopped(folder):
    stop = threading.Event()
    stop.set()
    assert run(read_image_files(read_class_folder(folder), 8, stop=stop)) is None


def write_table(path, text):
    path.write_text(text)
    return path


def test_groups_come_from_a_column_of_a_table(folder, tmp_path):
    files = read_class_folder(folder).files
    lines = [f"{p.parent.name}/{p.name};x;P{i % 4}" for i, p in enumerate(files)]
    table = write_table(tmp_path / "t.csv", "file;note;patient\n" + "\n".join(lines))
    assert group_column(files, table, "patient") == tuple(f"P{i % 4}" for i in range(12))


def test_files_are_found_by_their_stem_and_one_column_needs_no_name(folder, tmp_path):
    files = read_class_folder(folder).files[:6]
    table = write_table(
        tmp_path / "t.csv", "slide,name\n" + "\n".join(f"s{p.stem},{p.stem}" for p in files)
    )
    assert group_column(files, table)[0] == "sC0_0"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,patient\nC0_0,1\n", "is not in"),
        ("name,patient\n" + "".join(f"C{k // 2}_{k},{k}\nC{k // 2}_{k},{k + 1}\n" for k in range(6)), "several"),
        ("name,patient\n" + "".join(f"C{k // 2}_{k},\n" for k in range(6)), "has none"),
        ("name,slide,well\nC0_0,1,2\n", "slide, well"),
        ("", "is empty"),
    ],
)  # fmt: skip
def test_tables_that_do_not_say_every_group_are_refused(folder, tmp_path, text, says):
    files = read_class_folder(folder).files
    error = refusal(lambda: group_column(files, write_table(tmp_path / "t.csv", text), "patient"))
    assert error.code == "CN-635"
    assert says in error.message


def test_a_table_that_is_not_there_is_refused(folder, tmp_path):
    files = read_class_folder(folder).files
    assert refusal(lambda: group_column(files, tmp_path / "none.csv", "patient")).code == "CN-635"
