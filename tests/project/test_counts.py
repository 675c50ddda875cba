"""Counts of the classes are kept up with every click, and are those of the file in every case."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.project import Project


def counted(path):
    """What the file itself says, by a connection of its own."""
    found = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        for table in ("object_class", "patch"):
            query = f"SELECT value, count(*) FROM {table} GROUP BY value"
            for value, count in connection.execute(query):
                found[value] = found.get(value, 0) + count
    return found


def some_edit(project, image_id, random):
    """Do one of many things, chosen by chance."""
    label, value = int(random.integers(1, 12)), int(random.integers(0, 4))
    place, patches = random.uniform(0, 500, 2), project.patches(image_id)
    match random.integers(0, 6):
        case 0 | 1:
            project.set_object_class(image_id, "nuclei", label, (), place, value)
        case 2:
            cells = [(label + k, (), place, value) for k in range(5)]
            project.set_object_classes(image_id, "nuclei", [*cells, cells[0]])
        case 3:
            project.add_patches(image_id, [((), place, 32, 1 + value % 3)] * 3)
        case 4 if patches:
            project.set_patch(patches[0].id, value=1 + value % 3)
        case 5 if patches:
            project.remove_patch(patches[-1].id)


def test_counts_are_those_of_the_file_after_any_edit(project, image_id):
    project.set_classes("classify", make_classes(["a", "b", "c"]))
    random = np.random.default_rng(0)
    for _ in range(300):
        some_edit(project, image_id, random)
        assert project.class_counts("classify") == counted(project.path)


def test_edits_that_are_taken_back_together_are_not_counted(project, image_id):
    project.set_classes("classify", make_classes(["a", "b", "c"]))
    project.set_object_class(image_id, "nuclei", 1, (), (1, 1), 1)
    assert project.class_counts("classify") == {1: 1}

    def edit_and_fail() -> None:
        with project.together():
            project.set_object_class(image_id, "nuclei", 1, (), (1, 1), 2)
            assert project.class_counts("classify") == {2: 1}
            project.set_object_class(image_id, "nuclei", 2, (), (1, 1), 4)  # no such class

    with pytest.raises(UserError):
        edit_and_fail()
    assert project.class_counts("classify") == {1: 1}
    with pytest.raises(UserError):
        project.set_object_class(image_id + 1, "nuclei", 1, (), (1, 1), 2)
    assert project.class_counts("classify") == {1: 1}


def test_a_reader_counts_what_another_program_wrote(project, image_id):
    project.set_classes("classify", make_classes(["a", "b", "c"]))
    with Project.open(project.path, read_only=True) as reader:
        for label in range(1, 4):
            project.set_object_class(image_id, "nuclei", label, (), (1, 1), 1)
            assert reader.class_counts("classify") == {1: label}


def test_annotations_on_test_images_can_be_left_out(project, image_id):
    project.set_classes("classify", make_classes(["a", "b"]))
    project.set_classes("segment", make_classes(["a", "b"]))
    other = project.add_image(
        name="other", source="/images/other.tif", shape=(512, 512), dtype="uint16", axes="YX",
        content_hash="1" * 64,
    )  # fmt: skip
    project.add_patch(image_id, (), (5.0, 5.0), 8, 1)
    project.add_patch(other, (), (5.0, 5.0), 8, 2)
    painted = np.zeros((512, 512), np.uint8)
    painted[:3, :256] = 2
    project.write_painting(other, (), painted)
    project.set_split(other, "test")
    assert project.class_counts("classify") == {1: 1, 2: 1}
    assert project.class_counts("classify", with_test=False) == {1: 1}
    assert project.class_counts("segment") == {2: 3 * 256}
    assert project.class_counts("segment", with_test=False) == {}
