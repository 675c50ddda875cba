"""Label images of whole objects become painted areas that training takes for whole objects again."""

import numpy as np
import pytest
import tifffile

from exchange_helpers import import_
from napari_convnet import make_classes
from napari_convnet.errors import UserError
from napari_convnet.exchange import ImportOptions
from napari_convnet.project import Project
from napari_convnet.samples import painted_objects
from napari_convnet.scores import match_objects
from whole_object_pictures import draw_rods


@pytest.fixture
def folder(tmp_path):
    """A folder of two images and the project that knows them, with the label images of other programs beside."""
    (tmp_path / "masks").mkdir()
    for seed in (0, 1):
        image, instances = draw_rods(seed)
        tifffile.imwrite(tmp_path / f"rods{seed}.tif", image.pixels[0])
        tifffile.imwrite(tmp_path / "masks" / f"rods{seed}_cp_masks.tif", instances.astype("u2"))
    with Project.create(tmp_path / "p.convnet") as project:
        import_(project, "images", *sorted(tmp_path.glob("*.tif")))
        project.set_classes("segment", make_classes(("background", "rod")))
    return tmp_path


def test_masks_of_other_programs_are_painted_and_give_the_objects_back(folder):
    with Project.open(folder / "p.convnet") as project:
        result = import_(project, "objects", folder / "masks")
        assert "whole objects" in result.summary
        for seed, image in enumerate(project.images()):
            _, truth = draw_rods(seed)
            painted = project.read_painting(image.id, (), truth.shape)
            assert set(np.unique(painted)) == {1, 2}
            assert match_objects(truth, painted_objects(painted, 1)).average_precision == 1


def test_a_cellpose_file_is_painted_with_the_class_that_is_named(folder):
    _, truth = draw_rods(1)
    file = folder / "rods1_seg.npy"
    np.save(file, truth)
    with Project.open(folder / "p.convnet") as project:
        options = ImportOptions(class_name="cell", add_classes=True)
        import_(project, "objects", file, options=options)
        assert [info.name for info in project.classes("segment")] == ["background", "rod", "cell"]
        first, second = project.images()
        assert not project.painted_planes(first.id)
        painted = project.read_painting(second.id, (), truth.shape)
        assert set(np.unique(painted)) == {1, 3}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda masks: (masks / "rods0_cp_masks.tif").rename(masks / "other.tif"), "CN-654"),
        (lambda masks: tifffile.imwrite(masks / "rods0.tif", np.ones((3, 4), "u2")), "CN-613"),
        (lambda masks: tifffile.imwrite(masks / "rods0.tif", np.full((128, 128), 1.5)), "CN-611"),
        (lambda masks: [file.unlink() for file in masks.iterdir()], "CN-651"),
    ],
    ids=["no such image", "other size", "no whole numbers", "nothing there"],
)
def test_masks_that_do_not_fit_are_refused_and_nothing_is_painted(folder, change, code):
    change(folder / "masks")
    with Project.open(folder / "p.convnet") as project:
        with pytest.raises(UserError) as refused:
            import_(project, "objects", folder / "masks")
        assert refused.value.code == code
        assert not any(project.painted_planes(image.id) for image in project.images())


def test_without_a_class_for_objects_nothing_is_painted(folder):
    with Project.open(folder / "p.convnet") as project:
        project.set_classes("segment", make_classes(("background",)))
        with pytest.raises(UserError, match="no class is given"):
            import_(project, "objects", folder / "masks")
        options = ImportOptions(class_name="background")
        with pytest.raises(UserError, match="lies around them"):
            import_(project, "objects", folder / "masks", options=options)
        project.set_classes("segment", ())
        with pytest.raises(UserError, match="no classes to segment"):
            import_(project, "objects", folder / "masks")
