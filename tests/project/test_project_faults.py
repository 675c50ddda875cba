"""The project file under kills, full disks and moves: nothing that was saved is lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from project_helpers import make_project

from napari_convnet.errors import UserError
from napari_convnet.project import Project

WRITER = """
import sys
import numpy as np
from napari_convnet.project import Project

project = Project.open(sys.argv[1], backup_folder=sys.argv[2])
assert not project.read_only, project.read_only_reason
count = len(project.object_annotations(1))
labels = project.read_painting(1, (), (600, 600))
while True:
    count += 1
    project.set_object_class(1, "nuclei", count, (), (count, count), 1 + count % 2)
    print("cell", count, flush=True)
    y, x = (37 * count) % 590, (91 * count) % 590
    labels[y : y + 10, x : x + 10] = 1 + count % 2
    project.write_painting(1, (), labels, changed=(y, y + 10, x, x + 10))
    print("paint", count, flush=True)
"""


def kill_while_writing(path, folder, chance):
    """Kill a writing child; return the numbers of its last acknowledged cell and stroke."""
    command = [sys.executable, "-c", WRITER, str(path), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        seen = [child.stdout.readline()]
        time.sleep(chance.uniform(0.0, 0.1))
        child.send_signal(signal.SIGKILL)
        seen += child.stdout.read().splitlines(keepends=True)
    whole = [line.split() for line in seen if line.endswith("\n")]
    return {kind: int(count) for kind, count in whole}


def survive_kills(tmp_path, folder, number):
    path = tmp_path / "killed.convnet"
    make_project(path, folder).close()
    chance = random.Random(number)
    for _ in range(number):
        last = kill_while_writing(path, folder, chance)
        with Project.open(path, read_only=True) as project:
            count = len(project.object_annotations(1))
            assert project.damage == ()
            assert count in (last["cell"], last["cell"] + 1)
            painted = project.read_painting(1, (), (600, 600))
        stroke = last.get("paint", 0)
        y, x = (37 * stroke) % 590, (91 * stroke) % 590
        if stroke and count <= stroke:
            assert (painted[y : y + 10, x : x + 10] == 1 + stroke % 2).all()
    with Project.open(path, backup_folder=folder) as project:
        assert not project.read_only
    assert sorted(os.listdir(tmp_path)) == ["backups", path.name]


def test_ten_kills_while_writing_lose_nothing_that_was_acknowledged(tmp_path, folder):
    survive_kills(tmp_path, folder, 10)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_three_hundred_kills_while_writing_lose_nothing_that_was_acknowledged(tmp_path, folder):
    survive_kills(tmp_path, folder, 300)


FULL_DISK = """
import sys
from pathlib import Path
import numpy as np
from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.project import Project

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
random = np.random.default_rng(0)
project = Project.create(folder / "a.convnet", backup_folder=folder / "backups")
project.set_classes("segment", make_classes(["a", "b"]))
project.add_image("dapi", "", (512, 512), "uint8", "YX")
good = np.zeros((512, 512), np.uint8)
try:
    for _ in range(100):
        labels = random.integers(0, 3, (512, 512), dtype=np.uint8)
        project.write_painting(1, (), labels)
        good = labels
        run_id = project.start_run("segment", "unet", {}, {})
        project.finish_run(run_id, "finished", {}, bytes(100_000))
except UserError as error:
    print(error.code, error.message)
else:
    raise SystemExit("the disk never was full")
assert good.any()
assert (project.read_painting(1, (), (512, 512)) == good).all()
runs = len(project.runs())
assert project.damage == ()
project.close()
with Project.open(folder / "a.convnet", read_only=True) as again:
    assert again.damage == ()
    assert (again.read_painting(1, (), (512, 512)) == good).all()
    assert len(again.runs()) == runs
print("intact", runs)
"""


def check_full_disk(command):
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("CN-301 Not saved")
    assert int(ended.stdout.split()[-1]) > 1


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_file_that_cannot_grow_keeps_what_was_saved(tmp_path):
    check_full_disk([sys.executable, "-c", FULL_DISK, str(tmp_path), "2000000"])


def may_mount():
    """Whether this user may mount a file system of its own."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="needs a file system of its own")
def test_a_full_disk_keeps_what_was_saved(tmp_path):
    mount = 'mount -t tmpfs -o size=3m tmpfs "$3" && "$1" -c "$2" "$3" 0'
    shell = ["sh", "-c", mount, "sh", sys.executable, FULL_DISK, str(tmp_path)]
    check_full_disk(["unshare", "-rm", *shell])


def test_a_project_on_a_full_disk_opens_for_reading(tmp_path, filled, folder):
    script = (
        "import resource, signal, sys\n"
        "from napari_convnet.project import Project\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "with Project.open(sys.argv[1], backup_folder=sys.argv[2]) as project:\n"
        "    print(len(project.object_annotations(1)), project.read_only_reason)\n"
    )
    command = [sys.executable, "-c", script, str(filled), str(folder)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert ended.stdout.startswith("120 Not saved")


def test_a_project_that_moved_while_open_loses_nothing_and_is_not_written_to(filled, folder):
    moved, copy = filled.with_name("moved.convnet"), filled.with_name("copy.convnet")
    with Project.open(filled, backup_folder=folder) as project:
        project.add_patch(1, (), (1, 1), 8, 1)
        filled.rename(moved)
        with pytest.raises(UserError) as caught:
            project.add_patch(1, (), (1, 1), 8, 1)
        assert caught.value.code == "CN-308"
        assert len(project.patches(1)) == 41
        project.save_copy(copy)
    assert sorted(os.listdir(filled.parent)) == ["backups", copy.name, moved.name]
    for file in (moved, copy):
        with Project.open(file, backup_folder=folder) as project:
            assert not project.read_only
            assert len(project.patches(1)) == 41


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_in_a_folder_that_cannot_be_written_a_project_opens_for_reading(filled, folder):
    filled.parent.chmod(0o555)
    try:
        with Project.open(filled, backup_folder=folder) as project:
            assert "cannot be written" in project.read_only_reason
            assert len(project.patches(1)) == 40
        with pytest.raises(UserError) as caught:
            Project.create(filled.parent / "new.convnet", backup_folder=folder)
        assert caught.value.code == "CN-305"
    finally:
        filled.parent.chmod(0o755)
