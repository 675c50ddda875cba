"""What the tests of the project file share."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from napari_convnet.classes import make_classes
from napari_convnet.errors import UserError
from napari_convnet.project import Project


def reopened(project, **options):
    folder = project.path.parent / "backups"
    project.close()
    return Project.open(project.path, backup_folder=folder, **options)


def code_of(action, *values, **options):
    with pytest.raises(UserError) as caught:
        action(*values, **options)
    assert len(caught.value.message) <= 300
    return caught.value.code


def make_project(path, folder):
    """A project with an image of 600 x 600 pixels and two classes of each task."""
    project = Project.create(path, backup_folder=folder)
    project.set_classes("classify", make_classes(["round", "long"]))
    project.set_classes("segment", make_classes(["background", "cell"]))
    project.add_image("dapi", "/data/dapi.tif", (600, 600), "uint8", "YX")
    return project


def fill(project):
    project.set_object_classes(1, "nuclei", [(k, (), (k, k), 1 + k % 2) for k in range(1, 121)])
    for k in range(1, 41):
        project.add_patch(1, (), (k, k), 32, 1)
    noise = np.random.default_rng(0).integers(0, 3, (600, 600), dtype=np.uint8)
    project.write_painting(1, (), noise)
    run_id = project.start_run("segment", "unet", {"epochs": 9}, {})
    for epoch in range(20):
        project.record_epoch(run_id, epoch, {"loss": 1 / (epoch + 1)})
    project.finish_run(run_id, "finished", {"f1": 0.5}, b"model" * 1000)


def content(project):
    """All that a project holds, as sets of text by kind."""
    rows = {
        "classes": {(task, project.classes(task)) for task in ("classify", "segment")},
        "images": set(project.images()),
        "objects": set(project.object_annotations(1)),
        "patches": set(project.patches(1)),
        "runs": {repr(run) for run in project.runs()},
        "epochs": {repr(epoch) for epoch in project.epochs(1)},
    }
    return rows, project.read_painting(1, (), (600, 600))


def strace_works():
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-qq", "true"], capture_output=True).returncode == 0


def run_with_fault(script, path, folder, call, fault, k):
    """Run a script whose k-th call of one kind on the project fails; False if there is none."""
    watched = [part for end in ("", "-journal", "-wal", "-shm") for part in ("-P", f"{path}{end}")]
    log = path.parent.parent / "trace"
    trace = ["strace", "-f", "-o", str(log), *watched]
    command = [*trace, "-e", f"inject={call}:{fault}:when={k}", sys.executable, "-c", script]
    subprocess.run([*command, str(path), str(folder)], capture_output=True)
    return any(word in log.read_text() for word in ("(INJECTED)", "killed by SIGKILL"))
