"""`napari-convnet import` and `export`, on made files and on real ones."""

import csv
import json
import time

import numpy as np
import pytest
import tifffile

from data_folders import command, one_message
from exchange_helpers import make_project, notes_of, patches_of, say
from napari_convnet.folders import read_labels
from napari_convnet.project import Project


@pytest.fixture(autouse=True)
def _own_backups(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def done(*arguments):
    result = command(*arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.stderr.split())


def test_whole_way_from_images_to_another_project(tmp_path):
    with make_project(tmp_path) as project:
        say(project, tmp_path)
        full = notes_of(project), patches_of(project)
    out, new = tmp_path / "out", tmp_path / "new.convnet"
    said = done("export", tmp_path / "full.convnet", "patches", "-o", out, "--size", 9, "--png")
    assert "'out': 10 patches exported." in said
    said = done("import", new, "images", tmp_path / "flat.tif", tmp_path / "colour.png")
    assert "2 images added." in said
    message = one_message(command("import", new, "patches", out, "--add-classes"), "CN-654")
    assert "'stack'" in message
    one_message(command("import", new, "images", tmp_path / "stack.tif", "--axes", "YX"), "CN-602")
    done("import", new, "images", tmp_path / "stack.tif", "--axes", "ZYX")
    message = one_message(command("import", new, "patches", out), "CN-653")
    assert "manifest.csv', line 2" in message
    said = done("import", new, "patches", out, "--add-classes")
    assert "6 cells, 4 patches, 3 new classes imported" in said
    with Project.open(new) as project:
        assert (notes_of(project), patches_of(project)) == full
    said = done("import", new, "patches", out)
    assert "4 patches that are there already" in said


def test_labels_are_found_for_export(tmp_path):
    with make_project(tmp_path) as project:
        say(project, tmp_path)
    path, labels = tmp_path / "full.convnet", tmp_path / "labels"
    one_message(command("export", path, "coco", "-o", tmp_path / "c.json"), "CN-662")
    done("export", path, "coco", "-o", tmp_path / "c.json", "--labels", labels)
    content = json.loads((tmp_path / "c.json").read_text())
    assert len(content["annotations"]) == 10
    done("export", path, "table", "-o", tmp_path / "t.csv", "--labels", labels)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert all(row["area_pixels"] for row in csv.DictReader(file))


def test_wrong_format_and_missing_project(tmp_path):
    message = one_message(command("import", tmp_path / "x.convnet", "coco", tmp_path), "CN-311")
    assert "x.convnet" in message
    done("import", tmp_path / "x.convnet", "images", _image(tmp_path))
    message = one_message(command("import", tmp_path / "x.convnet", "yolo", tmp_path), "CN-663")
    assert "coco" in message
    one_message(
        command("export", tmp_path / "x.convnet", "cellpose", "-o", tmp_path / "o"), "CN-663"
    )


def _image(folder):
    tifffile.imwrite(folder / "i.tif", np.arange(100, dtype=np.uint8).reshape(10, 10))
    return folder / "i.tif"


@pytest.mark.data
def test_boxes_of_blood_cells(data_folder, tmp_path):
    """bccd: its boxes as COCO into a project and out again, nothing lost but what is said."""
    images, path = data_folder / "bccd" / "images", tmp_path / "bccd.convnet"
    with (data_folder / "bccd" / "boxes.csv").open(newline="") as file:
        boxes = list(csv.DictReader(file))
    stems = sorted({box["image"] for box in boxes})
    names = sorted({box["cls"] for box in boxes})
    content = {
        "images": [{"id": k, "file_name": f"{stem}.jpg"} for k, stem in enumerate(stems)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names)],
        "annotations": [
            {
                "image_id": stems.index(box["image"]),
                "category_id": names.index(box["cls"]),
                "bbox": [int(box["xmin"]), int(box["ymin"]), int(box["xmax"]) - int(box["xmin"]),
                         int(box["ymax"]) - int(box["ymin"])],
            }
            for box in boxes
        ],
    }  # fmt: skip
    content["annotations"] = [a for a in content["annotations"] if min(a["bbox"][2:]) > 0]
    (tmp_path / "bccd.json").write_text(json.dumps(content))
    done("import", path, "images", images)
    started = time.monotonic()
    said = done("import", path, "coco", tmp_path / "bccd.json", "--add-classes")
    print(f"{len(boxes)} boxes in {time.monotonic() - started:.1f} s: {said}")
    with Project.open(path, read_only=True) as project:
        patches = patches_of(project)
    known = {
        (
            stems[a["image_id"]],
            a["bbox"][1] + a["bbox"][3] / 2 - 0.5,
            a["bbox"][0] + a["bbox"][2] / 2 - 0.5,
            max(a["bbox"][2:]),
            names[a["category_id"]],
        )
        for a in content["annotations"]
    }
    assert {(p[0], *p[2:]) for p in patches} == known
    done("export", path, "shapes", "-o", tmp_path / "shapes")
    again = tmp_path / "again.convnet"
    done("import", again, "images", images)
    done("import", again, "shapes", *sorted((tmp_path / "shapes").iterdir()), "--add-classes")
    with Project.open(again, read_only=True) as project:
        assert patches_of(project, digits=6) == [
            (*p[:2], round(p[2], 6), round(p[3], 6), *p[4:]) for p in patches
        ]


@pytest.mark.data
def test_masks_of_nuclei(data_folder, tmp_path):
    """bbbc039: 16-bit images and instance masks into a project, out as COCO and in again."""
    folder, path = data_folder / "bbbc039", tmp_path / "n.convnet"
    images = sorted((folder / "images").iterdir())[:4]
    masks = tmp_path / "masks"
    masks.mkdir()
    count = 0
    for image in images:
        labels = read_labels(folder / "masks" / f"{image.stem}.png")
        tifffile.imwrite(masks / f"{image.stem}.tif", labels)
        numbers = np.unique(labels[labels > 0])
        count += len(numbers)
        lines = [f"{n},{'even' if n % 2 == 0 else 'odd'}" for n in numbers]
        (masks / f"{image.stem}.csv").write_text("\n".join(["label,class", *lines]))
    done("import", path, "images", *images)
    said = done("import", path, "instances", masks, "--add-classes")
    assert f"{count:,} cells" in said
    assert count > 100
    done("export", path, "coco", "-o", tmp_path / "n.json", "--labels", masks)
    again = tmp_path / "again.convnet"
    done("import", again, "images", *images)
    done("import", again, "coco", tmp_path / "n.json", "--add-classes")
    for image in images:
        made = tifffile.imread(tmp_path / "n_labels" / f"{image.stem}_labels.tif")
        np.testing.assert_array_equal(made, tifffile.imread(masks / f"{image.stem}.tif"))
    with Project.open(path, read_only=True) as one, Project.open(again, read_only=True) as other:
        assert {n[:1] + n[2:] for n in notes_of(one)} == {n[:1] + n[2:] for n in notes_of(other)}
    done("export", path, "table", "-o", tmp_path / "n.csv", "--labels", masks)
    with (tmp_path / "n.csv").open(newline="", encoding="utf-8") as file:
        areas = [int(row["area_pixels"]) for row in csv.DictReader(file)]
    total = sum(int((tifffile.imread(masks / f"{i.stem}.tif") > 0).sum()) for i in images)
    assert sum(areas) == total
