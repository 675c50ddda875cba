"""napari is closed while a network trains: it ends at once and leaves a sound project."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np

from napari_convnet.project import Project

_PERSON = textwrap.dedent(
    """
    import sys
    sys.path.insert(0, {helpers!r})
    import faulthandler
    import napari
    import numpy as np
    from napari.settings import get_plugin_settings, get_settings
    from qtpy.QtCore import QTimer
    from dock_helpers import Desk, press

    faulthandler.dump_traceback_later(240, exit=True)

    class Waiter:
        @staticmethod
        def waitUntil(condition, timeout):
            import time
            from qtpy.QtWidgets import QApplication
            end = time.monotonic() + timeout / 1000
            while not condition():
                assert time.monotonic() < end
                QApplication.processEvents()

    get_settings().application.confirm_close_window = False
    viewer = napari.Viewer()
    get_plugin_settings("napari-convnet").folders.projects = {folder!r}
    desk = Desk(viewer, Waiter, [])
    desk.open_sample("blood-smear-1")
    annotate, train = desk.open_dock("Annotate"), desk.open_dock("Train")
    desk.annotate_smear(annotate, n=40)
    train.form.epochs.setValue(5000)
    press(train.train_button)

    def close_when_it_learns():
        if len(train.curves._points["training"].values) < 2:
            QTimer.singleShot(50, close_when_it_learns)
            return
        press(annotate.task_buttons["segment"])
        tool = desk.use_tool(annotate, "paint_strokes")
        tool.layer.data_setitem((np.full(40, 60), np.arange(40)), 1)
        print("closing", flush=True)
        viewer.close()

    QTimer.singleShot(0, close_when_it_learns)
    napari.run()
    """
)


def test_closing_napari_while_training_ends_in_time_with_a_sound_project(tmp_path):
    folder = tmp_path / "projects"
    script = _PERSON.format(helpers=str(Path(__file__).parent), folder=str(folder))
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    line = next((line for line in child.stdout if line.startswith("closing")), "")
    _, errors = child.communicate(
        timeout=60
    )  # it took 3 s at a load of 5; one that hangs never ends
    assert line, errors
    assert child.returncode == 0, errors
    assert "Traceback" not in errors
    assert "Error" not in errors
    (path,) = folder.iterdir()  # one file: no journal is left
    with Project.open(path) as project:
        assert not project.damage
        (image,) = project.images()
        assert len(project.object_annotations(image.id)) == 40
        (plane,) = project.painted_planes(image.id)
        painting = project.read_painting(image.id, plane, image.shape[:2])
        assert np.count_nonzero(painting == 1) == 40
        (run,) = project.runs()
        assert run.outcome in ("interrupted", "stopped")
        assert len(project.epochs(run.id)) >= 2
