"""Folders of images are read as they are found, and what is wrong with them is named."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_convnet.errors import UserError
from napari_convnet.folders import (
    group_names,
    pair_images,
    read_array,
    read_class_folder,
    read_image,
)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)


def refusal(action):
    with pytest.raises(UserError) as caught:
        action()
    return caught.value


@pytest.fixture
def classes(tmp_path):
    for name, count in (("bad", 3), ("good", 2)):
        for index in range(count):
            write(tmp_path / name / f"C{index}_x.png", np.full((6, 5, 3), index, np.uint8))
    return tmp_path


def test_a_folder_a_class(classes):
    (classes / "good" / "notes.txt").write_text("no image")
    (classes / "good" / ".hidden.png").write_bytes(b"")
    folder = read_class_folder(classes)
    assert folder.class_names == ("bad", "good")
    assert folder.targets.tolist() == [0, 0, 0, 1, 1]
    assert folder.read(2).pixels[0, 0, 0] == 2


def test_classes_may_be_given_in_another_order(classes):
    assert read_class_folder(classes, ["good", "bad"]).targets.tolist() == [1, 1, 1, 0, 0]
    assert refusal(lambda: read_class_folder(classes, ["good"])).code == "CN-633"


def test_folders_that_are_no_training_set_are_refused(tmp_path, classes):
    assert refusal(lambda: read_class_folder(tmp_path / "nowhere")).code == "CN-631"
    assert refusal(lambda: read_class_folder(classes / "good")).code == "CN-632"
    (classes / "empty").mkdir()
    assert refusal(lambda: read_class_folder(classes)).code == "CN-633"


def test_a_file_that_is_no_image_is_named(tmp_path):
    for name in ("broken.png", "broken.tif"):
        (tmp_path / name).write_bytes(b"this is no picture")
        error = refusal(lambda name=name: read_image(tmp_path / name))
        assert error.code == "CN-634"
        assert name in error.message


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_tiffs_keep_their_depth(tmp_path, compression):
    image = np.random.default_rng(0).integers(0, 65535, (17, 13)).astype(np.uint16)
    path = tmp_path / "deep.tif"
    if compression == "lzw":
        Image.fromarray(image).save(path, compression="tiff_lzw")
    else:
        tifffile.imwrite(path, image, compression=compression)
    array, axes = read_array(path)
    assert axes == "YX"
    np.testing.assert_array_equal(array, image)


def test_axes_are_told_from_metadata_and_shape(tmp_path):
    tifffile.imwrite(
        tmp_path / "channels.tif", np.zeros((2, 9, 9), np.uint16), metadata={"axes": "CYX"}
    )
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((9, 9, 3), np.uint8), photometric="rgb")
    assert read_image(tmp_path / "channels.tif").n_channels == 2
    assert read_image(tmp_path / "colour.tif").n_channels == 3


def test_a_stack_is_refused_because_a_plane_must_be_chosen(tmp_path):
    tifffile.imwrite(
        tmp_path / "stack.tif", np.zeros((20, 9, 9), np.uint16), metadata={"axes": "ZYX"}
    )
    assert refusal(lambda: read_image(tmp_path / "stack.tif")).code == "CN-602"


def test_pairs_share_a_stem_and_what_lacks_a_partner_is_named(tmp_path):
    for stem in ("a", "b"):
        write(tmp_path / "images" / f"{stem}.png", np.zeros((4, 4), np.uint8))
    write(tmp_path / "labels" / "a.tif", np.zeros((4, 4), np.uint16))
    error = refusal(lambda: pair_images(tmp_path / "images", tmp_path / "labels"))
    assert error.code == "CN-636"
    assert "b.png" in error.message
    write(tmp_path / "labels" / "b.tif", np.ones((4, 4), np.uint16))
    pairs = pair_images(tmp_path / "images", tmp_path / "labels")
    assert [pair.image.stem for pair in pairs] == ["a", "b"]
    assert pairs[1].read()[1].all()


def test_groups_are_what_the_bracket_finds(classes):
    files = read_class_folder(classes).files
    assert group_names(files, r"^(C\d+)") == ("C0", "C1", "C2", "C0", "C1")
    assert group_names(files, r"C\d") == ("C0", "C1", "C2", "C0", "C1")
    assert refusal(lambda: group_names(files, "patient")).code == "CN-635"
    assert refusal(lambda: group_names(files, "(")).code == "CN-635"
