"""Files that cannot be imported: one message that names file and place, and nothing is changed."""

import json
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from exchange_helpers import everything, export, import_, make_project, say
from napari_convnet.errors import UserError
from napari_convnet.exchange import ImportOptions, Pixels

ADD = ImportOptions(add_classes=True)


@pytest.fixture
def full(tmp_path):
    with make_project(tmp_path) as project:
        say(project, tmp_path)
        yield project


def refused(project, format_name, *paths, options=ADD, folder=None):
    """Import, expect one message, and check that nothing changed."""
    before = everything(project)
    files = sorted(folder.rglob("*")) if folder else []
    with pytest.raises(UserError) as caught:
        import_(project, format_name, *paths, options=options)
    assert everything(project) == before
    assert files == (sorted(folder.rglob("*")) if folder else [])
    assert len(caught.value.message) <= 300, caught.value.message
    return f"{caught.value.code} {caught.value.message}"


MANIFEST = "file,image,source,plane,centre_y,centre_x,size,label,class\n"
GOOD = "a/1.tif,flat,,,10,10,9,,a/b\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("../../x.tif,flat,,,10,10,9,,a/b", "CN-656 'manifest.csv', line 3: .*outside"),
        ("a\\..\\..\\x.tif,flat,,,10,10,9,,a/b", "CN-656 .*line 3"),
        ("/etc/passwd,flat,,,10,10,9,,a/b", "CN-656 .*line 3"),
        ("C:/x.tif,flat,,,10,10,9,,a/b", "CN-656 .*line 3"),
        ("a/2.tif,flat,,,nan,10,9,,a/b", "CN-652 .*line 3: centre_y is nan"),
        ("a/2.tif,flat,,,10,inf,9,,a/b", "CN-652 .*line 3: centre_x"),
        ("a/2.tif,flat,,,1e300,10,9,,a/b", "CN-652 .*line 3"),
        ("a/2.tif,flat,,,10,80,9,,a/b", "CN-652 .*line 3: centre .*60 x 80"),
        ("a/2.tif,flat,,,ten,10,9,,a/b", "CN-652 .*line 3: centre_y is 'ten'"),
        ("a/2.tif,flat,,,10,10,0,,a/b", "CN-652 .*line 3: size"),
        ("a/2.tif,flat,,,10,10,99999999999999999999999,,a/b", "CN-652 .*line 3: size"),
        ("a/2.tif,flat,,,10,10,1e999,,a/b", "CN-652 .*line 3: size"),
        ("a/2.tif,flat,,,10,10,9000,,a/b", "CN-652 .*line 3"),
        ("a/2.tif,flat,,7,10,10,9,,a/b", "CN-652 .*line 3: plane"),
        ("a/2.tif,stack,,5,10,10,9,,a/b", "CN-652 .*line 3: plane"),
        ("a/2.tif,stack,,-1,10,10,9,,a/b", "CN-652 .*line 3: plane"),
        ("a/2.tif,flat,,,10,10,9,-4,a/b", "CN-652 .*line 3: label"),
        ("a/2.tif,flat,,,10,10,9,1.5,a/b", "CN-652 .*line 3: label"),
        ("a/2.tif,no such,,,10,10,9,,a/b", "CN-654 .*line 3: image 'no such'"),
        ("a/2.tif,flat,,,10,10,9,,", "CN-653 .*line 3: no class"),
        ("a/2.tif,flat,,,10,10,9,," + "x" * 61, "CN-653 .*line 3"),
        ("a/2.tif,flat,,,10", "CN-652 .*line 3: it has 5 values"),
        ('a/2.tif,"flat,,,10,10,9,,a/b', "CN-652 .*manifest.csv', line 3"),
    ],
)
def test_bad_line_of_a_manifest(full, tmp_path, line, expected):
    folder = tmp_path / "patches"
    folder.mkdir()
    (folder / "manifest.csv").write_text(MANIFEST + GOOD + line + "\n")
    assert re.match(expected, refused(full, "patches", folder))


def test_same_cell_twice(full, tmp_path):
    row = "a/1.tif,flat,,,10,10,9,5,a/b\n"
    (tmp_path / "manifest.csv").write_text(MANIFEST + row + row)
    assert "line 3: label 5" in refused(full, "patches", tmp_path / "manifest.csv")


def test_unknown_class_is_named_unless_it_may_be_added(full, tmp_path):
    (tmp_path / "m.csv").write_text(MANIFEST + "a/1.tif,flat,,,10,10,9,,new\n")
    message = refused(full, "patches", tmp_path / "m.csv", options=ImportOptions())
    assert message.startswith("CN-653 'm.csv', line 2: the project has no class 'new'")
    import_(full, "patches", tmp_path / "m.csv", options=ADD)
    assert full.classes("classify")[-1].name == "new"


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"a\0b,c\n", b"image,class\nflat,x\n", MANIFEST[:20].encode(), b'"'],
)
@pytest.mark.parametrize(
    "format_name", ["patches", "points", "shapes", "classes", "coco", "cellpose"]
)
def test_another_or_truncated_file(full, tmp_path, format_name, content):
    (tmp_path / "bad.bin").write_bytes(content)
    message = refused(full, format_name, tmp_path / "bad.bin")
    assert re.match("CN-65[12] 'bad.bin'", message)


@pytest.mark.parametrize(
    "format_name", ["patches", "painted", "instances", "points", "coco", "images"]
)
def test_missing_file(full, tmp_path, format_name):
    assert refused(full, format_name, tmp_path / "gone").startswith("CN-651 'gone'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value,name\n1,a\n1,b\n", "line 3: value 1; expected 2"),
        ("value,name\n1,a\n3,b\n", "line 3"),
        ("value,name\n1,a\n2,a\n", "line 3: the name 'a' is given twice"),
        ("value,name\n1,\n", "line 2"),
        ("value,name,colour\n1,a,red\n", "line 2: 'red' is not a colour"),
        ("value,name\nx,a\n", "line 2"),
        ("value,name\n", "no classes"),
        ("value,name\n1,a\n", "CN-335"),
        ("value,name\n" + "".join(f"{k},c{k}\n" for k in range(1, 257)), "line 257"),
    ],
)
def test_bad_class_table(full, tmp_path, text, expected):
    (tmp_path / "classes.csv").write_text(text)
    assert expected in refused(full, "classes", tmp_path / "classes.csv")


def test_label_that_is_not_in_the_mask(full, tmp_path):
    export(full, "instances", tmp_path / "out", Pixels(label_places=[tmp_path / "labels"]))
    with (tmp_path / "out" / "flat.csv").open("a") as file:
        file.write("3,a/b,person\n")
    message = refused(full, "instances", tmp_path / "out")
    assert message.startswith("CN-655 'flat.csv', line 4: label 3 is not in 'flat.tif'")


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (np.ones((60, 81), np.uint8), "CN-613"),
        (np.full((60, 80), 3, np.uint8), "CN-641"),
        (np.full((60, 80), 1e9, np.int64), "CN-641"),
        (np.full((60, 80), -1, np.int16), "CN-612"),
        (np.ones((60, 80), np.float32), "CN-611"),
    ],
)
def test_painted_labels_that_do_not_fit(full, tmp_path, labels, code):
    tifffile.imwrite(tmp_path / "masks.tif", labels)
    options = ImportOptions(image="flat")
    assert refused(full, "painted", tmp_path / "masks.tif", options=options).startswith(code)


@pytest.mark.filterwarnings("ignore:Truncated File Read:UserWarning")  # said by Pillow, too
def test_truncated_label_image(full, tmp_path):
    export(full, "painted", tmp_path / "out")
    file = tmp_path / "out" / "flat.tif"
    file.write_bytes(file.read_bytes()[:150])
    assert refused(full, "painted", tmp_path / "out").startswith("CN-651 'flat.tif'")


@pytest.mark.parametrize("name", ["../flat.tif", "gone.tif", ""])
def test_painted_manifest_that_leads_elsewhere(full, tmp_path, name):
    export(full, "painted", tmp_path / "out")
    (tmp_path / "out" / "manifest.csv").write_text(f"file,image,source,plane\n{name},flat,,\n")
    assert re.match("CN-65[16] 'manifest.csv', line 2", refused(full, "painted", tmp_path / "out"))


def coco(**changes):
    content = {
        "images": [{"id": 7, "file_name": "flat.tif", "height": 60, "width": 80}],
        "categories": [{"id": 3, "name": "a/b"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 10]}],
    }
    second = {"id": 2, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 10], **changes}
    content["annotations"].append(second)
    return content


@pytest.mark.parametrize(
    "changes",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 0, 3]},
        {"bbox": [1, 2, "3", 3]},
        {"bbox": [1, 2, float("nan"), 3]},
        {"bbox": [1, 2, 1e400, 3]},
        {"bbox": [1, 2, 10**400, 3]},
        {"bbox": [500, 2, 3, 3]},
        {"bbox": None},
        {"image_id": 8},
        {"image_id": [7]},
        {"category_id": 8},
        {"segmentation": [[1, 2, 3]]},
        {"segmentation": [[1, 2, 3, 4, 5, float("inf")]]},
        {"segmentation": "abc"},
        {"segmentation": {"size": [60, 81], "counts": [4860]}},
        {"segmentation": {"size": [60, 80], "counts": [4801]}},
        {"segmentation": {"size": [60, 80], "counts": [-1, 4801]}},
        {"segmentation": {"size": [60, 80], "counts": [5, 5]}},
        {"segmentation": {"size": [60, 80], "counts": "\x01\x02"}},
        {"segmentation": {"size": [60, 80], "counts": "oooooooooooooooooooooooo"}},
        {"segmentation": {"size": [60, 80], "counts": None}},
    ],
)
def test_bad_coco_annotation(full, tmp_path, changes):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "c.json").write_text(json.dumps(coco(**changes)))
    message = refused(full, "coco", folder / "c.json", folder=folder)
    assert re.match("CN-65[234] 'c.json', annotation 2:", message)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"images": [], "categories": []}',
        '{"images": 3}',
        "[]",
        '{"images": [\n1,,2]}',
        "1" * 5000,
    ],
)
def test_bad_json(full, tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    assert refused(full, "coco", tmp_path / "c.json").startswith("CN-651 'c.json'")


def test_one_bad_file_of_several_leaves_all_out(full, tmp_path):
    for name, y in (("flat", "3"), ("colour", "41")):
        (tmp_path / f"{name}_points.csv").write_text(f"index,axis-0,axis-1,class\n0,{y},3,a/b\n")
    message = refused(full, "points", tmp_path / "flat_points.csv", tmp_path / "colour_points.csv")
    assert message.startswith("CN-652 'colour_points.csv', line 2")


def test_points_of_another_dimension(full, tmp_path):
    (tmp_path / "stack_points.csv").write_text("index,axis-0,axis-1,class\n0,3,3,a/b\n")
    assert "has 3" in refused(full, "points", tmp_path / "stack_points.csv")


def test_image_name_that_fits_two(full, tmp_path):
    full.add_image("flat", "/elsewhere/flat.tif", (60, 80), "uint8", "YX")
    (tmp_path / "manifest.csv").write_text(MANIFEST + GOOD)
    assert "CN-654 'manifest.csv', line 2: 2 images" in refused(full, "patches", tmp_path)


def test_failure_in_the_middle_of_writing_takes_all_back(full, tmp_path, monkeypatch):
    out = tmp_path / "all.json"
    export(full, "coco", out, Pixels(label_places=[tmp_path / "labels"]))
    content = json.loads(out.read_text())
    content["categories"].append({"id": 99, "name": "new"})
    for shift, annotation in enumerate(content["annotations"]):
        annotation["category_id"] = 99
        annotation["bbox"][0] -= shift % 2
    out.write_text(json.dumps(content))
    written = []
    add = type(full).add_patches

    def fail_after_writing(self, *values):
        written.extend(add(self, *values))
        raise UserError("CN-301", "Not saved: the disk is full.")

    monkeypatch.setattr(type(full), "add_patches", fail_after_writing)
    assert refused(full, "coco", out, folder=tmp_path).startswith("CN-301")
    assert written


@pytest.mark.parametrize(
    "format_name", ["patches", "painted", "instances", "points", "coco", "table"]
)
def test_full_disk_leaves_no_half_export(full, tmp_path, monkeypatch, format_name):
    """Every file larger than 100 bytes hits the limit of the process: a real error of a real write."""
    before = sorted(tmp_path.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    pixels = Pixels(label_places=[tmp_path / "labels"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(UserError) as caught:
            export(full, format_name, tmp_path / "out", pixels)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert caught.value.code == "CN-301"
    assert sorted(tmp_path.rglob("*")) == before


def test_killed_export_leaves_nothing_under_its_name(full, tmp_path):
    program = (
        "import sys, time; from pathlib import Path; sys.path[:0] = [{here!r}]\n"
        "from napari_convnet.project import Project\n"
        "from napari_convnet.exchange import export_project\n"
        "project = Project.open({path!r}, read_only=True)\n"
        "for event in export_project(project, 'patches', Path({out!r})):\n"
        "    print(event.done, flush=True); time.sleep(0.2)\n"
    ).format(here=str(Path(__file__).parent), path=str(full.path), out=str(tmp_path / "out"))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "1"
    process.kill()
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "out").exists()
    export(full, "patches", tmp_path / "out")
    assert (tmp_path / "out" / "manifest.csv").is_file()


def test_export_never_replaces_a_folder(full, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    with pytest.raises(UserError, match="exists already") as caught:
        export(full, "points", tmp_path / "out")
    assert caught.value.code == "CN-659"
    assert (tmp_path / "out" / "precious").read_text() == "mine"


def test_exports_without_anything_to_write_or_read(tmp_path):
    with make_project(tmp_path) as project:
        for name in ("patches", "painted", "instances", "points", "coco", "table", "classes"):
            with pytest.raises(UserError) as caught:
                export(project, name, tmp_path / "out")
            assert caught.value.code == "CN-658"
        say(project, tmp_path)
        with pytest.raises(UserError, match="flat cells") as caught:
            export(project, "instances", tmp_path / "out")
        assert caught.value.code == "CN-662"
        (tmp_path / "flat.tif").unlink()
        with pytest.raises(UserError, match="is not there") as caught:
            export(project, "patches", tmp_path / "out")
        assert caught.value.code == "CN-660"
        assert not (tmp_path / "out").exists()
