"""Many edits as one step: an import is there whole or not at all, whatever ends it."""

import signal
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from project_helpers import code_of, content, make_project, reopened

from napari_convnet.classes import make_classes
from napari_convnet.exchange import apply_plan
from napari_convnet.exchange.plan import (
    ImportPlan,
    NewObject,
    NewPainting,
    NewPatch,
    NewPosition,
    PackedPlane,
)
from napari_convnet.project import Project

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from test_project_together import a_plan
from napari_convnet.exchange import apply_plan
from napari_convnet.project import Project

project = Project.open(sys.argv[1], backup_folder=sys.argv[2])
assert not project.read_only
write, seen = project.write_painting, []

def write_and_die(*values, **options):
    write(*values, **options)
    assert len(project.patches(1)) == 2000
    os.kill(os.getpid(), signal.SIGKILL)

project.write_painting = write_and_die
apply_plan(project, a_plan())
"""


def a_plan(painted=2):
    """An import of every kind; painted with 3, a class that does not exist, it fails at its end."""
    labels = np.zeros((600, 600), np.uint8)
    labels[100:400, 100:400] = painted
    return ImportPlan(
        "test",
        classes={"classify": tuple(make_classes(["round", "long", "new"]))},
        objects=[NewObject(1, "nuclei", k, (), (k, k), 3) for k in range(1, 1001)],
        patches=[NewPatch(1, (), (k % 600, k // 600), 32, 3) for k in range(2000)],
        positions=[NewPosition(1, (), (k, k), 0) for k in range(100)],
        splits={1: "test"},
        paintings=[NewPainting(1, (), PackedPlane(labels))],
    )


def everything(project):
    rows, painting = content(project)
    return rows, painting.tolist(), project.positions(1), project.splits()


def untimed(project):
    """All but when objects were annotated: undo writes them anew."""
    rows, *others = everything(project)
    rows["objects"] = {replace(note, annotated_at="") for note in rows["objects"]}
    return rows, *others


@pytest.fixture
def held(tmp_path, folder):
    with make_project(tmp_path / "held.convnet", folder) as project:
        project.set_object_class(1, "nuclei", 1, (), (1, 1), 1)
        project.write_painting(1, (), np.ones((300, 300), np.uint8))
        yield project


def test_a_kill_in_the_middle_of_an_import_leaves_what_was_before(held, folder):
    before = everything(held)
    held.close()
    here = str(__file__).rsplit("/", 1)[0]
    command = [sys.executable, "-c", KILLED, str(held.path), str(folder), here]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with Project.open(held.path, backup_folder=folder) as project:
        assert not project.read_only
        assert not project.damage
        assert everything(project) == before


def test_a_failed_import_leaves_what_was_before_and_painting_goes_on(held):
    before, but_times = everything(held), untimed(held)
    assert code_of(apply_plan, held, a_plan(painted=3)) == "CN-333"
    assert everything(held) == before
    apply_plan(held, a_plan()).undo(held)
    assert untimed(held) == but_times


def fail_after_edits(project, painting):
    with project.together():
        project.set_classes("locate", make_classes(["a"]))
        project.move_class("classify", 1, 2)
        project.write_painting(1, (), painting)
        project.add_patch(1, (), (1, 1), 32, 9)


def test_caches_are_right_after_a_step_was_taken_back(held):
    edit = held.move_class("classify", 1, 2)
    new = np.full((300, 300), 2, np.uint8)
    assert code_of(fail_after_edits, held, new) == "CN-333"
    assert held.classes("locate") == ()
    # Were the taken back tiles still known as stored, this would write nothing.
    assert held.write_painting(1, (), new) == 4
    with reopened(held) as again:
        assert (again.read_painting(1, (), (300, 300)) == new).all()
    assert held._class_states["classify"] is edit.state_after


def test_an_import_that_could_not_be_undone_can_be_undone_later(held):
    before = untimed(held)
    result = apply_plan(held, a_plan())
    new = held.add_patch(1, (), (5, 5), 32, 3)  # keeps the new class: it cannot go
    after = everything(held)
    assert code_of(result.undo, held) == "CN-335"
    assert everything(held) == after
    held.remove_patch(new)
    result.undo(held)
    assert untimed(held) == before


def test_a_failed_edit_that_is_caught_leaves_the_rest_of_the_step(held):
    with held.together():
        held.add_patches(1, [((), (1, 1), 32, 1)])
        assert code_of(held.add_patches, 1, [((), (2, 2), 32, 1), ((), (3, 3), 32, 9)]) == "CN-333"
        with held.together():
            held.add_patch(1, (), (4, 4), 32, 2)
    assert [patch.centre for patch in held.patches(1)] == [(1, 1), (4, 4)]


@pytest.mark.parametrize("fails", [False, True])
def test_another_threads_edits_wait_and_stay(held, fails):
    begun = threading.Event()

    def edit():
        begun.set()
        held.write_painting(1, (), np.full((300, 300), 2, np.uint8))
        held.set_object_class(1, "nuclei", 7, (), (7, 7), 2)

    other = threading.Thread(target=edit, daemon=True)
    try:
        with held.together():
            other.start()
            begun.wait()
            held.add_patches(1, [((), (k, k), 32, 1) for k in range(500)])
            held.write_painting(1, (), np.ones((600, 600), np.uint8))
            assert {note.label for note in held.object_annotations(1)} == {1}
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    other.join(30)
    assert not other.is_alive()
    assert {note.label for note in held.object_annotations(1)} == {1, 7}
    assert len(held.patches(1)) == (0 if fails else 500)
    painting = held.read_painting(1, (), (600, 600))
    assert (painting[:300, :300] == 2).all()
    assert (painting[300:] == (0 if fails else 1)).all()
