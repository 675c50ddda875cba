"""Deleting, merging and moving a class, and taking that back exactly."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from project_helpers import code_of, fill, make_project, reopened, run_with_fault, strace_works

from napari_convnet.classes import ClassInfo, make_classes
from napari_convnet.project import Project

EDITS = {
    "delete": lambda p, task: p.delete_class(task, 2),
    "give": lambda p, task: p.delete_class(task, 2, give_to=3),
    "merge": lambda p, task: p.merge_classes(task, 3, 1),
    "move up": lambda p, task: p.move_class(task, 4, 1),
    "move down": lambda p, task: p.move_class(task, 1, 3),
}


@pytest.fixture
def annotated(project, image_id):
    """A project with four classes of each task and annotations of all."""
    for task in ("classify", "segment"):
        project.set_classes(task, make_classes(["a", "b", "c", "d"]))
    objects = [(k, (0,), (k, k), 1 + k % 4) for k in range(1, 41)]
    project.set_object_classes(image_id, "nuclei", objects)
    for k in range(12):
        project.add_patch(image_id, (), (k, k), 32, 1 + k % 4)
    labels = np.random.default_rng(0).integers(0, 5, (600, 700), dtype=np.uint8)
    labels[:256, :256] = 2  # a tile that a deletion empties
    project.write_painting(image_id, (), labels)
    return project


def annotation_rows(project):
    """Every annotation and class row as the file holds it, hashes and times included."""
    return rows_of(project.path)


def rows_of(path):
    tables = ("class", "object_class", "patch", "painted_tile")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return {t: set(connection.execute(f"SELECT * FROM {t}").fetchall()) for t in tables}


@pytest.mark.parametrize("task", ["classify", "segment"])
@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_is_undone_to_the_very_row(annotated, task, kind):
    before = annotation_rows(annotated)
    edit = EDITS[kind](annotated, task)
    assert annotation_rows(annotated) != before
    assert annotated.classes(task) == edit.after
    annotated.undo(edit)
    assert annotation_rows(annotated) == before
    with reopened(annotated) as again:
        assert again.damage == ()


def test_annotations_follow_a_moved_class(annotated, image_id):
    labels = annotated.read_painting(image_id, (), (600, 700))
    by_label = {o.label: o.value for o in annotated.object_annotations(image_id)}
    for task in ("classify", "segment"):
        assert annotated.move_class(task, 4, 2).count == 0
        assert [info.name for info in annotated.classes(task)] == ["a", "d", "b", "c"]
    moved = np.array([0, 1, 3, 4, 2], np.uint8)
    for annotation in annotated.object_annotations(image_id):
        assert annotation.value == moved[by_label[annotation.label]]
    assert (annotated.read_painting(image_id, (), (600, 700)) == moved[labels]).all()


def test_a_merged_class_gives_its_annotations_away(annotated, image_id):
    labels = annotated.read_painting(image_id, (), (600, 700))
    counts = annotated.class_counts("classify")
    edit = annotated.merge_classes("classify", 1, 3)
    assert [info.name for info in annotated.classes("classify")] == ["b", "c", "d"]
    assert edit.count == counts[1]
    assert annotated.class_counts("classify") == {1: counts[2], 2: counts[3] + counts[1], 3: 13}
    annotated.merge_classes("segment", 1, 3)
    moved = np.array([0, 2, 1, 2, 3], np.uint8)
    assert (annotated.read_painting(image_id, (), (600, 700)) == moved[labels]).all()


@pytest.mark.parametrize("kind", ["delete", "give"])
def test_undo_keeps_what_was_annotated_meanwhile(annotated, image_id, kind):
    def value_of(label):
        found = annotated.object_annotations(image_id)
        return next((o.value for o in found if o.label == label), 0)

    assert [value_of(label) for label in (1, 5, 9, 2)] == [2, 2, 2, 3]
    edit = EDITS[kind](annotated, "classify")
    annotated.set_object_class(image_id, "nuclei", 900, (0,), (1, 1), 3)  # a new one, of "d"
    annotated.set_object_class(image_id, "nuclei", 1, (0,), (1, 1), 1)  # a lost one, as "a"
    annotated.set_object_class(image_id, "nuclei", 2, (0,), (1, 1), 0)  # of "c", taken away
    annotated.set_object_class(image_id, "nuclei", 9, (0,), (9, 9), 0)
    patch = annotated.add_patch(image_id, (), (5, 5), 16, 3)
    annotated.undo(edit)
    # A cell that the edit had cleared already cannot be cleared again: it comes back.
    expected = [4, 1, 2, 0, 2 if kind == "delete" else 0]
    assert [value_of(label) for label in (900, 1, 5, 2, 9)] == expected
    patches = {p.id: p.value for p in annotated.patches(image_id)}
    assert patches[patch] == 4
    assert len(patches) == 13


@pytest.mark.parametrize("kind", ["delete", "give"])
def test_undo_keeps_strokes_painted_meanwhile(annotated, image_id, kind):
    before = annotated.read_painting(image_id, (), (600, 700))
    edit = EDITS[kind](annotated, "segment")
    stroke = np.full((20, 30), 1, np.uint8)
    annotated.write_painting(image_id, (), stroke, origin=(100, 100))
    annotated.write_painting(image_id, (3,), np.full((9, 9), 3, np.uint8))
    annotated.undo(edit)
    expected = before.copy()
    expected[100:120, 100:130] = 1
    assert (annotated.read_painting(image_id, (), (600, 700)) == expected).all()
    assert (annotated.read_painting(image_id, (3,), (9, 9)) == 4).all()


def test_undo_keeps_names_changed_and_classes_added_meanwhile(annotated, image_id):
    edit = annotated.delete_class("classify", 2)
    a, c, d = annotated.classes("classify")
    renamed, added = ClassInfo("C", "#010203"), ClassInfo("new", "#040506")
    annotated.set_classes("classify", (a, renamed, d, added))
    annotated.set_object_class(image_id, "nuclei", 900, (), (1, 1), 4)
    annotated.undo(edit)
    assert annotated.classes("classify") == (a, edit.before[1], renamed, d, added)
    by_label = {o.label: o.value for o in annotated.object_annotations(image_id)}
    assert by_label[900] == 5
    assert c.name == "c"


def test_edits_are_undone_newest_first_and_done_again(annotated):
    before = annotation_rows(annotated)
    first = annotated.delete_class("classify", 2)
    between = annotation_rows(annotated)
    second = annotated.move_class("classify", 3, 1)
    assert code_of(annotated.undo, first) == "CN-337"
    annotated.undo(second)
    assert code_of(annotated.undo, second) == "CN-337"
    assert annotation_rows(annotated) == between
    annotated.undo(first)
    assert annotation_rows(annotated) == before
    again = annotated.delete_class("classify", 2)
    assert annotation_rows(annotated) == between
    annotated.undo(again)
    assert annotation_rows(annotated) == before


def test_what_cannot_be_undone_says_so_and_changes_nothing(annotated):
    edit = annotated.delete_class("classify", 2)
    annotated.set_classes("classify", (*edit.after, ClassInfo("b", "#000000")))
    after = annotation_rows(annotated)
    assert code_of(annotated.undo, edit) == "CN-513"
    assert code_of(annotated.merge_classes, "classify", 1, 1) == "CN-332"
    assert code_of(annotated.merge_classes, "classify", 1, 0) == "CN-333"
    assert code_of(annotated.merge_classes, "classify", 5, 1) == "CN-333"
    assert code_of(annotated.move_class, "classify", 1, 9) == "CN-333"
    assert code_of(annotated.delete_class, "segment", 0) == "CN-333"
    assert annotation_rows(annotated) == after


DELETE = """
import sys
from napari_convnet.project import Project
with Project.open(sys.argv[1], backup_folder=sys.argv[2]) as project:
    project.delete_class("segment", 1, give_to=2)
"""


@pytest.mark.skipif(not strace_works(), reason="strace is not here or not allowed")
@pytest.mark.parametrize(
    ("call", "fault", "step"),
    [
        ("pwrite64", "signal=KILL", 9),
        ("pwrite64", "error=ENOSPC", 9),
        ("fdatasync", "error=EIO", 2),
    ],
)
def test_a_fault_leaves_an_edit_done_or_not(tmp_path, folder, call, fault, step):
    source = tmp_path / "source.convnet"
    with make_project(source, folder) as project:
        fill(project)
    old = rows_of(source)
    shutil.copy(source, tmp_path / "kept.convnet")
    with Project.open(source, backup_folder=folder) as project:
        edit = project.delete_class("segment", 1, give_to=2)
        new = {name: {row[:4] for row in rows} for name, rows in annotation_rows(project).items()}
        assert edit.count > 0
    states, k, is_hit = set(), 1, True
    while is_hit:
        path = tmp_path / str(k) / "a.convnet"
        path.parent.mkdir()
        shutil.copy(tmp_path / "kept.convnet", path)
        is_hit = run_with_fault(DELETE, path, folder, call, fault, k)
        Project.open(path, backup_folder=folder).close()
        found = rows_of(path)
        is_new = found != old
        if is_new:
            assert {name: {row[:4] for row in rows} for name, rows in found.items()} == new
            assert len(found["class"]) == 3
        states.add(is_new)
        k += step
    assert states == {True, False}
