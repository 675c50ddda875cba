"""Files of format 1, made by version 0.1: brought up to date whole or not at all, never lost."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from project_helpers import code_of, content, fill, make_project, run_with_fault, strace_works

from napari_convnet.project import Project, backups_of

OLD = Path(__file__).parent / "data" / "format_1.convnet"


@pytest.fixture
def old(path):
    shutil.copy(OLD, path)
    return path


def version_of(path):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
        return raw.execute("PRAGMA user_version").fetchone()[0]


def what_it_holds(path):
    with Project.open(path, read_only=True) as project:
        assert project.damage == ()
        rows, painted = content(project)
        return rows, painted.tobytes()


def test_an_old_project_is_brought_up_to_date_and_its_original_is_kept(old, folder):
    before, held = old.read_bytes(), what_it_holds(old)
    with Project.open(old, backup_folder=folder) as project:
        assert not project.read_only
        (note,) = project.notes
        original = Path(note.rsplit("'", 2)[1])
        project.set_classes("locate", project.classes("classify"))
        project.add_position(1, (), (1.25, 2.5), 2)
    assert version_of(old) == 3
    assert "format 3" in note
    assert version_of(original) == 1
    assert old.parent != original.parent
    assert what_it_holds(original) == held
    assert what_it_holds(old) == held
    assert before == OLD.read_bytes()
    with Project.open(old, backup_folder=folder) as project:
        assert project.notes == ()
        assert project.positions(1)[0].centre == (1.25, 2.5)
    assert sorted(os.listdir(old.parent)) == ["backups", old.name]
    for number in range(8):  # backups of openings make room for new ones, the original stays
        with Project.open(old, backup_folder=folder) as project:
            project.add_patch(1, (), (number, 1), 8, 1)
    assert len(backups_of(old, folder)) == 5
    assert version_of(original) == 1


def test_an_old_project_that_is_only_read_stays_as_it_is(old):
    before = old.read_bytes(), old.stat().st_mtime_ns
    with Project.open(old, read_only=True) as project:
        assert len(project.object_annotations(1)) == 20
        assert len(project.patches(1)) == 5
        assert project.positions(1) == ()
        assert project.images()[0].split == "automatic"
        assert project.class_counts("locate") == {}
        assert project.model_bytes(1) == b"model" * 100
    assert (old.read_bytes(), old.stat().st_mtime_ns) == before
    assert os.listdir(old.parent) == [old.name]


def test_without_a_place_for_backups_the_original_is_kept_beside(old):
    blocked = old.with_name("a file")
    blocked.write_text("not a folder")
    with Project.open(old, backup_folder=blocked) as project:
        assert not project.read_only
        assert "No backup" in project.notes[0]
        original = Path(project.notes[1].rsplit("'", 2)[1])
    assert original.parent == old.parent
    assert original.name.startswith(f"{old.name}.format-1-")
    assert (version_of(original), version_of(old)) == (1, 3)


def test_a_damaged_row_of_an_old_project_is_restored_from_a_backup_of_either_format(old, folder):
    Project.open(old, backup_folder=folder).close()
    with Project.open(old, backup_folder=folder) as project:
        project.add_position(1, (), (1, 1))
    assert [version_of(backup) for backup in backups_of(old, folder)] == [1]
    with closing(sqlite3.connect(old)) as raw, raw:
        raw.execute("UPDATE position SET y = 2")
        raw.execute("UPDATE patch SET centre_y = 9 WHERE id = 3")
        raw.execute("UPDATE epoch SET curves = ''")
    with Project.open(old, backup_folder=folder) as project:
        patch, epoch, position, _ = project.damage
        assert "restored" in patch
        assert "restored" in epoch
        assert "left out" in position


FULL = """
import resource, signal, sys
from napari_convnet.project import Project
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
with Project.open(sys.argv[1], backup_folder=sys.argv[2]) as project:
    print(len(project.object_annotations(1)), len(project.positions(1)), project.read_only_reason)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_on_a_full_disk_an_old_project_opens_for_reading_and_stays_old(old, folder):
    held = what_it_holds(old)
    command = [sys.executable, "-c", FULL, str(old), str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("20 0 its format could not be brought up to date"), ended.stdout
    assert "CN-301" in ended.stdout or "full" in ended.stdout
    assert version_of(old) == 1
    assert what_it_holds(old) == held
    with Project.open(old, backup_folder=folder) as project:
        assert not project.read_only
    assert version_of(old) == 3


OPEN = """
import sys
from napari_convnet.project import Project
Project.open(sys.argv[1], backup_folder=sys.argv[2]).close()
"""


def state_after_fault(path):
    """The format that SQLite finds, which says how many of the new tables there must be."""
    with closing(sqlite3.connect(path)) as raw:
        version = raw.execute("PRAGMA user_version").fetchone()[0]
        names = {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}
    added = {
        "position",
        "image_split",
        "image_file",
        "run_checkpoint",
        "checkpoint_part",
        "network",
    }
    assert len(names & added) == {1: 0, 3: 6}[version]
    return version


def survive_faults(tmp_path, call, fault, step):
    """Bring an old file up to date with a fault at every ``step``-th call; return what was left."""
    held, k, versions = what_it_holds(OLD), 1, []
    while True:
        place = tmp_path / f"{call}-{k}"
        place.mkdir()
        path, folder = place / "a.convnet", place / "backups"
        shutil.copy(OLD, path)
        is_hit = run_with_fault(OPEN, path, folder, call, fault, k)
        versions.append(state_after_fault(path))
        if versions[-1] == 3:
            (original,) = folder.glob("*/*.original")
            assert what_it_holds(original) == held
        with Project.open(path, backup_folder=folder) as project:
            assert not project.read_only
            assert project.positions(1) == ()
        assert version_of(path) == 3
        assert what_it_holds(path) == held
        assert sorted(os.listdir(place)) == [path.name, "backups"]
        if not is_hit:
            assert versions.pop() == 3
            return versions
        k += step


@pytest.mark.skipif(not strace_works(), reason="strace is not here or not allowed")
@pytest.mark.parametrize(
    ("call", "fault"),
    [("pwrite64", "signal=KILL"), ("fdatasync", "signal=KILL"), ("fdatasync", "error=EIO")],
)
def test_a_fault_while_a_project_is_brought_up_to_date_leaves_the_old_or_the_new(
    tmp_path, call, fault
):
    versions = survive_faults(tmp_path, call, fault, step=8 if call == "pwrite64" else 4)
    assert set(versions) == {1, 3}


@pytest.mark.long
@pytest.mark.skipif(not strace_works(), reason="strace is not here or not allowed")
@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC", "error=EIO"])
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "unlink", "ftruncate"])
def test_every_fault_while_a_project_is_brought_up_to_date_leaves_one_state(tmp_path, call, fault):
    versions = survive_faults(tmp_path, call, fault, step=1)
    print(
        call, fault, len(versions), "faults,", versions.count(1), "old,", versions.count(3), "new"
    )


def test_positions_are_added_moved_removed_and_put_back(project, image_id):
    assert project.classes("locate") == ()
    first, second = project.add_positions(image_id, [((2,), (0.125, 3.5), 0), ((), (9, 9), 0)])
    project.set_classes("locate", project.classes("classify"))
    third = project.add_position(image_id, (2,), (7.0, -0.5), 3, "model")
    project.set_position(first, centre=(0.25, 3.75), value=1)
    kept = project.positions(image_id)
    assert [(p.id, p.plane, p.centre, p.value, p.annotated_by) for p in kept] == [
        (first, (2,), (0.25, 3.75), 1, "person"),
        (second, (), (9.0, 9.0), 0, "person"),
        (third, (2,), (7.0, -0.5), 3, "model"),
    ]
    assert project.class_counts("locate") == {1: 1, 3: 1}
    project.remove_positions([second, third, 99])
    assert project.add_position(image_id, (), (1, 1)) not in (first, second, third)
    project.restore_positions(kept)
    assert project.positions(image_id)[:3] == kept
    edit = project.merge_classes("locate", 3, 1)
    assert [p.value for p in project.positions(image_id)] == [1, 0, 1, 0]
    project.undo(edit)
    assert project.positions(image_id)[:3] == kept


def test_positions_that_make_no_sense_are_refused_whole(project, image_id):
    add = project.add_positions
    assert code_of(add, image_id, [((), (1, 1), 0), ((), (float("nan"), 1), 0)]) == "CN-332"
    assert code_of(add, image_id, [((), (1, 1), 1)]) == "CN-333"
    assert code_of(add, 99, [((), (1, 1), 0)]) == "CN-331"
    assert code_of(add, image_id, [((), (1, 1), 0)], "robot") == "CN-332"
    assert code_of(project.set_position, 1, value=0) == "CN-331"
    assert project.positions(image_id) == ()


def test_what_an_image_is_for_is_chosen_and_left_to_chance_again(project, image_id):
    other = project.add_image("b", "", (9, 9), "uint8", "YX")
    project.set_split(image_id, "test")
    project.set_split(other, "training")
    assert [image.split for image in project.images()] == ["test", "training"]
    project.set_split(image_id, "automatic")
    assert project.splits() == {other: "training"}
    assert code_of(project.set_split, image_id, "exam") == "CN-332"
    assert code_of(project.set_split, 99, "test") == "CN-331"


def test_a_filled_project_has_no_version_1_left(tmp_path, folder):
    with make_project(tmp_path / "new.convnet", folder) as project:
        fill(project)
        assert project.notes == ()
    assert version_of(tmp_path / "new.convnet") == 3
