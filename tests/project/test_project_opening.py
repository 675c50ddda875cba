"""Opening, closing, copies and backups: one file, one writer, any file name."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import PurePosixPath

import numpy as np
import pytest
from project_helpers import code_of, reopened

from napari_convnet.project import Project, backups_of
from napari_convnet.project.places import NETWORK_FILE_SYSTEMS, file_system_of


def test_one_file_is_left_after_closing(project, path, image_id):
    project.write_painting(image_id, (), np.ones((300, 300), np.uint8))
    project.close()
    project.close()
    assert sorted(os.listdir(path.parent)) == ["backups", path.name]
    assert path.read_bytes()[18:20] == b"\x01\x01"  # an ordinary journal: readable on any disk
    assert code_of(project.images) == "CN-309"


def test_reading_only_leaves_the_file_as_it_is(project, path, image_id):
    project.close()
    before = path.read_bytes(), path.stat().st_mtime_ns
    with Project.open(path, read_only=True) as again:
        assert again.read_only
        assert again.images()[0].id == image_id
        assert code_of(again.add_patch, image_id, (), (1, 1), 8, 1) == "CN-305"
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sorted(os.listdir(path.parent)) == ["backups", path.name]


def test_a_second_opening_reads_only_and_sees_what_the_first_writes(project, path, image_id):
    with Project.open(path, backup_folder=path.parent / "backups") as second:
        assert second.read_only
        assert str(os.getpid()) in second.read_only_reason
        project.set_object_class(image_id, "nuclei", 1, (), (1, 1), 1)
        assert len(second.object_annotations(image_id)) == 1
        assert code_of(second.add_patch, image_id, (), (1, 1), 8, 1) == "CN-305"
        project.close()
    assert sorted(os.listdir(path.parent)) == ["backups", path.name]
    with Project.open(path, backup_folder=path.parent / "backups") as third:
        assert not third.read_only


def test_a_second_program_reads_only_until_the_first_has_closed(project, path):
    script = (
        "import sys; from napari_convnet.project import Project\n"
        "with Project.open(sys.argv[1], backup_folder=sys.argv[2]) as p: print(p.read_only)"
    )
    command = [sys.executable, "-c", script, str(path), str(path.parent / "backups")]
    during = subprocess.run(command, capture_output=True, text=True, check=True)
    project.close()
    after = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (during.stdout.split(), after.stdout.split()) == (["True"], ["False"])


def test_who_is_taken_over_writes_no_more(project, path, image_id):
    backups = path.parent / "backups"
    with Project.open(path, take_over=True, backup_folder=backups) as second:
        second.set_object_class(image_id, "nuclei", 1, (), (1, 1), 1)
        action = project.set_object_class
        assert code_of(action, image_id, "nuclei", 1, (), (1, 1), 2) == "CN-307"
        assert project.object_annotations(image_id)[0].value == 1
        project.close()
        second.set_object_class(image_id, "nuclei", 1, (), (1, 1), 3)
    with Project.open(path, backup_folder=backups) as third:
        assert third.object_annotations(image_id)[0].value == 3


def test_a_project_of_another_computer_is_not_taken_over_unasked(project, path):
    project.close()
    with sqlite3.connect(path) as raw:
        raw.execute(
            "INSERT INTO opened_by VALUES (1, 't', 1, '', 'other-host', '2026-01-01T09:00')"
        )
    raw.close()
    with Project.open(path, backup_folder=path.parent / "backups") as again:
        assert "other-host" in again.read_only_reason
    with Project.open(path, take_over=True, backup_folder=path.parent / "backups") as again:
        assert not again.read_only


def test_threads_write_at_the_same_time_and_nothing_is_lost(project, image_id):
    run_id = project.start_run("segment", "unet", {}, {})

    def record():
        for epoch in range(100):
            project.record_epoch(run_id, epoch, {"loss": 1.0})
        project.finish_run(run_id, "finished", {}, os.urandom(10_000_000))

    worker = threading.Thread(target=record)
    worker.start()
    labels = np.zeros((300, 300), np.uint8)
    for k in range(1, 101):
        project.set_object_class(image_id, "nuclei", k, (), (k, k), 1)
        labels[k : k + 5, k : k + 5] = 1 + k % 2
        project.write_painting(image_id, (), labels, changed=(k, k + 5, k, k + 5))
    worker.join()
    with reopened(project) as again:
        assert len(again.object_annotations(image_id)) == 100
        assert len(again.epochs(run_id)) == 100
        assert again.runs()[0].outcome == "finished"
        np.testing.assert_array_equal(again.read_painting(image_id, (), (300, 300)), labels)


def test_the_last_five_states_are_kept_as_backups(project, path, image_id):
    folder = path.parent / "backups"
    project.close()
    for label in range(1, 8):
        with Project.open(path, backup_folder=folder) as again:
            again.set_object_class(image_id, "nuclei", label, (), (1, 1), 1)
    with Project.open(path, backup_folder=folder), Project.open(path, backup_folder=folder):
        pass
    backups = backups_of(path, folder)
    assert len(backups) == 5
    Project.open(path, backup_folder=folder).close()
    assert backups_of(path, folder) == backups, "an unchanged project is not kept twice"
    counts = []
    for backup in backups:
        with Project.open(backup, read_only=True) as copy:
            counts.append(len(copy.object_annotations(image_id)))
    assert counts == [7, 6, 5, 4, 3]


def test_a_backup_that_cannot_be_made_does_not_keep_the_project_closed(project, path):
    project.close()
    blocked = path.parent / "a file"
    blocked.write_text("not a folder")
    with Project.open(path, backup_folder=blocked) as again:
        assert not again.read_only
        assert "No backup" in again.notes[0]


def test_a_copy_is_saved_elsewhere_and_never_over_something(project, path, image_id):
    project.add_patch(image_id, (), (1, 1), 8, 1)
    copy = path.parent / "copy.convnet"
    project.save_copy(copy)
    assert code_of(project.save_copy, copy) == "CN-310"
    with Project.open(copy, backup_folder=path.parent / "backups") as other:
        assert not other.read_only
        assert other.patches(image_id) == project.patches(image_id)


@pytest.mark.parametrize(
    "name",
    [
        "with space.convnet",
        "æøå 漢字 😀.convnet",
        "50% #1?&.convnet",
        "n" * 230 + ".convnet",
        "x.y.",
    ],
)
def test_any_file_name_that_the_disk_takes_works(tmp_path, name):
    with Project.create(tmp_path / name, backup_folder=tmp_path / "backups") as project:
        project.add_image("a", "b", (1, 1), "uint8", "YX")
    with Project.open(tmp_path / name, backup_folder=tmp_path / "backups") as project:
        assert len(project.images()) == 1
    assert sorted(os.listdir(tmp_path)) == sorted(["backups", name])


def test_a_name_that_the_disk_refuses_is_refused_before_any_work(tmp_path):
    assert code_of(Project.create, tmp_path / ("n" * 300)) == "CN-301"
    assert code_of(Project.create, tmp_path / "missing" / "a.convnet") == "CN-301"
    assert code_of(Project.create, tmp_path / ("n" * 250)) == "CN-305"
    deep = tmp_path.joinpath(*["d" * 200] * 5)
    deep.mkdir(parents=True)
    assert code_of(Project.create, deep / "a.convnet") == "CN-305"
    assert os.listdir(deep) == []
    assert code_of(Project.open, tmp_path / "missing.convnet") == "CN-311"
    assert code_of(Project.open, tmp_path) == "CN-311"


def test_a_project_is_never_made_over_something(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("mine")
    for name in ("folder", "dangling", "file"):
        assert code_of(Project.create, tmp_path / name) == "CN-310"
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("place", "file_system", "shared"),
    [
        ("/home/me/a.convnet", "ext4", False),
        ("/mnt/lab data/a.convnet", "cifs", True),
        ("/mnt/labels/a.convnet", "ext4", False),
        ("/net/x/a.convnet", "nfs4", True),
        ("/sshfs/a.convnet", "fuse.sshfs", True),
        ("/ntfs/a.convnet", "fuseblk", False),
    ],
)
def test_network_shares_are_told_from_local_disks(place, file_system, shared):
    mounts = (
        "/dev/sda1 / ext4 rw 0 0\n//server/lab /mnt/lab\\040data cifs rw 0 0\n"
        "s:/x /net/x nfs4 rw 0 0\nme@h:/ /sshfs fuse.sshfs rw 0 0\n/dev/sdb1 /ntfs fuseblk rw 0 0\n"
    )
    assert file_system_of(PurePosixPath(place), mounts) == file_system
    assert bool(NETWORK_FILE_SYSTEMS.fullmatch(file_system)) == shared


def test_on_a_network_share_the_journal_is_the_one_that_works_there(path, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_convnet.project.store.is_network_share", lambda path: True)
    with Project.create(path, backup_folder=tmp_path / "backups") as project:
        project.add_image("a", "b", (1, 1), "uint8", "YX")
        assert sorted(os.listdir(tmp_path)) == ["backups", path.name]
        assert len(project.images()) == 1
