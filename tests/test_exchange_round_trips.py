"""What a format can hold comes back as it was: export, import into an empty project, compare."""

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from exchange_helpers import export, import_, make_project, notes_of, patches_of, say
from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.exchange import (
    ImportOptions,
    Pixels,
    PredictedObjects,
    apply_plan,
    import_files,
)
from napari_convnet.folders import read_class_folder
from napari_convnet.project import Project

ADD = ImportOptions(add_classes=True)


@pytest.fixture
def full(tmp_path):
    """A project with a flat 16-bit image, an RGB image and a stack, all annotated."""
    with make_project(tmp_path) as project:
        say(project, tmp_path)
        yield project


@pytest.fixture
def empty(tmp_path, full):
    """A project that knows the same images, in another order, and no classes."""
    with Project.create(tmp_path / "empty.convnet", backup_folder=tmp_path / "b") as project:
        for image in reversed(full.images()):
            project.add_image(
                image.name, image.source, image.shape, image.dtype, image.axes,
                image.pixel_size, image.units, image.content_hash,
            )  # fmt: skip
        yield project


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def labels_of(tmp_path):
    return Pixels(label_places=[tmp_path / "labels"])


@pytest.mark.parametrize("file_type", ["tiff", "png"])
def test_patch_folder(full, empty, tmp_path, file_type):
    out = tmp_path / "patches"
    result = export(full, "patches", out, Pixels(), size=9, file_type=file_type)
    assert result.counts == {"patches": 10}
    back = import_(empty, "patches", out, options=ADD)
    assert "6 cells" in back.summary
    assert "4 patches" in back.summary
    assert notes_of(empty) == notes_of(full)
    assert patches_of(empty) == patches_of(full)
    assert {image.name: image.split for image in empty.images()} == {
        "flat": "test", "colour": "automatic", "stack": "training"
    }  # fmt: skip
    back.undo(empty)
    assert not notes_of(empty)
    assert not patches_of(empty)
    assert empty.classes("classify") == ()
    assert {image.split for image in empty.images()} == {"automatic"}


def test_patch_folder_is_a_training_folder_of_the_pixels(full, tmp_path):
    out = tmp_path / "patches"
    export(full, "patches", out, Pixels(), size=9)
    folder = read_class_folder(out)
    assert set(folder.class_names) == {"round, _small_", "länglich 细胞", "a_b"}
    assert len(folder.files) == 10
    rows = read_rows(out / "manifest.csv")
    image = tifffile.imread(tmp_path / "flat.tif")
    cell = next(row for row in rows if row["image"] == "flat" and row["label"] == "2")
    y, x = float(cell["centre_y"]), float(cell["centre_x"])
    top, left = int(np.floor(y - 4.5 + 1)), int(np.floor(x - 4.5 + 1))
    patch = tifffile.imread(out / cell["file"])
    assert patch.dtype == np.uint16
    np.testing.assert_array_equal(patch, image[top : top + 9, left : left + 9])
    colour = next(row for row in rows if row["image"] == "colour")
    assert tifffile.imread(out / colour["file"]).shape == (12, 12, 3)
    assert all(row["black"] == row["white"] == "" for row in rows if row["image"] != "stack")
    stack = tifffile.imread(tmp_path / "stack.tif")
    for row in (row for row in rows if row["image"] == "stack"):
        plane = stack[int(row["plane"])]
        assert (float(row["black"]), float(row["white"])) == (plane.min(), plane.max())


def test_png_patches_of_8_bit_colours_are_the_pixels(full, tmp_path):
    out = tmp_path / "patches"
    export(full, "patches", out, Pixels(), file_type="png")
    rows = read_rows(out / "manifest.csv")
    row = next(row for row in rows if row["image"] == "colour")
    patch = np.asarray(Image.open(out / row["file"]))
    picture = np.asarray(Image.open(tmp_path / "colour.png"))
    np.testing.assert_array_equal(patch, picture[14:26, 24:36])


def test_painted_labels(full, empty, tmp_path):
    out = tmp_path / "painted"
    export(full, "painted", out)
    back = import_(empty, "painted", out, options=ADD)
    assert empty.classes("segment") == full.classes("segment")
    for image, twin in zip(full.images(), reversed(empty.images()), strict=True):
        assert full.painted_planes(image.id) == empty.painted_planes(twin.id)
        for plane in full.painted_planes(image.id):
            shape = (60, 80) if image.name == "flat" else (40, 50)
            before = full.read_painting(image.id, plane, shape)
            np.testing.assert_array_equal(empty.read_painting(twin.id, plane, shape), before)
            assert before.any()
    back.undo(empty)
    assert not any(empty.painted_planes(image.id) for image in empty.images())


def test_painted_labels_without_manifest_add_to_what_is_painted(full, empty, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    mask = np.zeros((60, 80), np.uint16)
    mask[:5, :5] = 2
    tifffile.imwrite(folder / "flat.tif", mask)
    before = full.read_painting(1, (), (60, 80))
    back = import_(full, "painted", folder)
    after = full.read_painting(1, (), (60, 80))
    np.testing.assert_array_equal(after, np.where(mask > 0, mask, before))
    assert (after != before).any()
    back.undo(full)
    np.testing.assert_array_equal(full.read_painting(1, (), (60, 80)), before)


def test_instance_masks_with_classes(full, empty, tmp_path):
    out = tmp_path / "instances"
    export(full, "instances", out, labels_of(tmp_path))
    np.testing.assert_array_equal(
        tifffile.imread(out / "flat.tif"), tifffile.imread(tmp_path / "labels" / "flat cells.tif")
    )
    back = import_(empty, "instances", out, options=ADD)
    assert notes_of(empty) == notes_of(full)
    back.undo(empty)
    assert not notes_of(empty)


@pytest.mark.parametrize("format_name", ["points", "shapes"])
def test_napari_tables(full, empty, tmp_path, format_name):
    out = tmp_path / "tables"
    export(full, format_name, out)
    files = sorted(out.iterdir())
    assert len(files) == 3
    back = import_(empty, format_name, *files, options=ADD)
    assert patches_of(empty, digits=9) == patches_of(full, digits=9)
    again = import_(empty, format_name, *files, options=ADD)
    assert "there already" in again.summary
    assert patches_of(empty, digits=9) == patches_of(full, digits=9)
    back.undo(empty)
    assert not patches_of(empty)


def test_positions_as_napari_points(full, empty, tmp_path):
    full.set_classes("locate", make_classes(["centre", "tip"]))
    full.add_positions(1, [((), (3.25, 4.5), 1), ((), (59.5, -0.5), 0)])
    full.add_positions(3, [((4,), (1 / 3, 2), 2)])
    out = tmp_path / "points"
    export(full, "points", out, task="locate")
    locate = ImportOptions(task="locate", add_classes=True)
    back = import_(empty, "points", *sorted(out.iterdir()), options=locate)
    assert "3 positions" in back.summary

    def points(project):
        names = ["", *(info.name for info in project.classes("locate"))]
        return {
            (image.name, p.plane, p.centre, names[p.value])
            for image in project.images()
            for p in project.positions(image.id)
        }

    assert points(empty) == points(full)
    assert len(points(full)) == 3
    back.undo(empty)
    assert not points(empty)


def test_coco(full, empty, tmp_path):
    out = tmp_path / "all.json"
    export(full, "coco", out, labels_of(tmp_path))
    back = import_(empty, "coco", out, options=ADD)
    assert patches_of(empty, digits=9) == patches_of(full, digits=9)
    flat = {note[2:] for note in notes_of(full) if note[0] == "flat"}
    assert {note[2:] for note in notes_of(empty) if note[0] == "flat"} == flat
    made = tifffile.imread(tmp_path / "all_labels" / "flat_labels.tif")
    cells = tifffile.imread(tmp_path / "labels" / "flat cells.tif")
    np.testing.assert_array_equal(made, np.where(np.isin(cells, [2, 70_000]), cells, 0))
    # A stack's cell comes back as it is in the plane that shows most of it.
    stack = tifffile.imread(tmp_path / "all_labels" / "stack_labels.tif")
    volume = tifffile.imread(tmp_path / "labels" / "stack cells.tif")
    np.testing.assert_array_equal(stack[2], volume[2])
    back.undo(empty)
    assert not patches_of(empty)
    assert not notes_of(empty)


def test_class_table(full, empty, tmp_path):
    out = tmp_path / "classes.csv"
    export(full, "classes", out)
    back = import_(empty, "classes", out)
    assert empty.classes("classify") == full.classes("classify")
    names = [info.name for info in full.classes("classify")]
    assert names == ['round, "small"', "länglich 细胞", "a/b"]
    back.undo(empty)
    assert empty.classes("classify") == ()


def test_class_table_renames_and_recolours_what_is_annotated(full, tmp_path):
    out = tmp_path / "classes.csv"
    export(full, "classes", out)
    out.write_text("value;name;colour\n1;one;#010203\n2;two;\n3;three;#aabbcc\n4;four;#ffffff\n")
    before = full.classes("classify")
    back = import_(full, "classes", out)
    assert full.classes("classify")[0] == ClassInfo("one", "#010203")
    assert len(full.classes("classify")) == 4
    assert len(notes_of(full)) == 6
    back.undo(full)
    assert full.classes("classify") == before


def test_table_of_cells(full, tmp_path):
    out = tmp_path / "cells.csv"
    image = full.images()[0]
    shares = {"probability_x": {5: 0.25, 2: 0.5}, "probability_y": {5: 0.75}}
    predicted = PredictedObjects(image.id, "flat cells", {5: "y", 2: "x"}, shares)
    export(full, "table", out, labels_of(tmp_path), predictions=(predicted,))
    rows = read_rows(out)
    cells = {int(row["label"]): row for row in rows if row["image"] == "flat"}
    assert set(cells) == {2, 5, 70_000}
    first = cells[2]  # rows 10 to 13, columns 20 to 25
    assert (first["class"], first["annotated_by"]) == ('round, "small"', "person")
    assert (float(first["y"]), float(first["x"])) == (11.5, 22.5)
    assert (float(first["y_physical"]), float(first["x_physical"])) == (5.75, 5.625)
    assert (first["unit"], first["area_pixels"], first["area_unit"]) == (
        "micrometer",
        "24",
        "micrometer^2",
    )
    assert float(first["area_physical"]) == 24 * 0.5 * 0.25
    assert (cells[5]["class"], cells[5]["annotated_by"]) == ("y", "model")
    assert float(cells[5]["probability_y"]) == 0.75
    assert (first["predicted_class"], first["probability_y"]) == ("x", "")
    assert cells[70_000]["annotated_by"] == "model"
    solid = next(row for row in rows if row["image"] == "stack" and row["label"] == "1")
    assert (solid["plane"], float(solid["z"]), solid["area_pixels"]) == ("2", 2.0, "80")
    assert float(solid["z_physical"]) == 4.0
    assert float(solid["area_physical"]) == 80 * 2.0 * 0.5 * 0.5
    assert solid["area_unit"] == "micrometer^3"


def test_table_without_label_image_says_so(full, tmp_path):
    result = export(full, "table", tmp_path / "cells.csv")
    assert "the area of 6 cells" in result.summary


def test_images_are_added_once(full, tmp_path):
    with Project.create(tmp_path / "new.convnet", backup_folder=tmp_path / "b") as project:
        for _ in range(2):
            result = import_(project, "images", tmp_path / "flat.tif", tmp_path / "colour.png")
        assert "2 images that are there already" in result.summary
        assert [image.name for image in project.images()] == ["flat", "colour"]
        assert [image.axes for image in project.images()] == ["YX", "YXC"]
        known = {image.name: image.content_hash for image in full.images()}
        assert all(known[image.name] == image.content_hash for image in project.images())


def test_unknown_axes_of_a_stack_are_not_guessed(full, tmp_path):
    for axes, expected, words in (("", "?YX", "unknown meaning"), ("ZYX", "ZYX", "added.")):
        path = tmp_path / f"{len(axes)}.convnet"
        with Project.create(path, backup_folder=tmp_path / "b") as project:
            options = ImportOptions(axes=axes)
            result = import_(project, "images", tmp_path / "stack.tif", options=options)
            assert project.images()[0].axes == expected
            assert words in result.summary


def test_import_is_done_again_after_undo(full, empty, tmp_path):
    out = tmp_path / "all.json"
    export(full, "coco", out, labels_of(tmp_path))
    back = import_(empty, "coco", out, options=ADD)
    once = notes_of(empty), patches_of(empty)
    back.undo(empty)
    again = apply_plan(empty, back.plan)
    assert (notes_of(empty), patches_of(empty)) == once
    again.undo(empty)
    assert not notes_of(empty)


def test_progress_counts_up(full, tmp_path):
    from napari_convnet.exchange import export_project

    events = list(export_project(full, "patches", tmp_path / "out"))
    assert [event.done for event in events] == list(range(1, 11))
    assert {event.total for event in events} == {10}
    json.dumps([event.text for event in events])
    with Project.create(tmp_path / "n.convnet", backup_folder=tmp_path / "b") as project:
        assert list(import_files(project, "images", [tmp_path / "flat.tif"]))
