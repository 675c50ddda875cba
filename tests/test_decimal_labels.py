"""Labels that a program stored as decimals are taken when the person says so; halves are never rounded."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from data_folders import command
from exchange_helpers import everything, import_, make_project
from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.exchange import ImportOptions

ACCEPTED = ImportOptions(converts_decimals=True)


@pytest.fixture
def project(tmp_path):
    project = make_project(tmp_path)
    project.set_classes("segment", make_classes(["background", "cell"]))
    project.set_classes("classify", make_classes(["round", "long"]))
    yield project
    project.close()


def write(path, labels, dtype="f4"):
    tifffile.imwrite(path, labels.astype(dtype))
    return path


def strokes():
    labels = np.zeros((60, 80))
    labels[3:6, 10:40], labels[40:42, 60:80] = 1, 2
    return labels


def refusal(project, *arguments, options=None):
    before = everything(project)
    with pytest.raises(UserError) as caught:
        import_(project, *arguments, options=options)
    assert everything(project) == before
    assert caught.value.code == "CN-611"
    assert len(caught.value.message) <= 300
    return caught.value.message


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8"])
def test_painted_decimals_are_offered_to_be_converted_and_then_are_the_same(
    project, tmp_path, dtype
):
    path = write(tmp_path / "flat.tif", strokes(), dtype)
    message = refusal(project, "painted", path)
    assert "'flat.tif' holds float" in message
    assert "'Convert decimals' (--convert-decimals)" in message
    result = import_(project, "painted", path, options=ACCEPTED)
    assert "'flat.tif': float" in result.summary
    assert "were converted to whole numbers." in result.summary
    assert (project.read_painting(1, (), (60, 80)) == strokes()).all()


def test_instance_masks_of_decimals_are_converted_too(project, tmp_path):
    labels = np.zeros((60, 80))
    labels[10:14, 20:26], labels[30:33, 40:43] = 2, 70_000
    path = write(tmp_path / "flat.tif", labels)
    (tmp_path / "flat.csv").write_text("label,class\n2,round\n70000,long\n")
    assert "all of them whole numbers" in refusal(project, "instances", path)
    import_(project, "instances", path, options=ACCEPTED)
    found = {(note.label, note.value) for note in project.object_annotations(1)}
    assert found == {(2, 1), (70_000, 2)}


@pytest.mark.parametrize("value", [1.5, -0.25, np.nan, np.inf, 2.0**60])
@pytest.mark.parametrize("options", [None, ACCEPTED])
def test_what_is_no_whole_number_is_refused_with_value_and_position(
    project, tmp_path, value, options
):
    labels = strokes()
    labels[7, 5] = value
    path = write(tmp_path / "flat.tif", labels, "f8")
    assert f"'flat.tif' has the value {value} at (7, 5)" in refusal(
        project, "painted", path, options=options
    )


def test_the_command_line_has_a_flag_for_it(project, tmp_path):
    path = write(tmp_path / "flat.tif", strokes())
    project.close()
    asked = ("import", project.path, "painted", path)
    assert "--convert-decimals" in command(*asked).stderr
    done = command(*asked, "--convert-decimals")
    assert done.exit_code == 0, done.output
    assert "1 painted plane imported." in done.stderr
    assert "float32 values were converted" in done.stderr
