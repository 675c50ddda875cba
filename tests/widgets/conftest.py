"""What the tests of the docks share: a real viewer, docks, samples and annotations."""

from __future__ import annotations

import os
from pathlib import Path

# Threads that wait for each other by spinning take the cores from the viewer and from other tests.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import pytest

pytest.importorskip("napari")
pytest.importorskip("qtpy")

from dock_helpers import Desk
from napari.utils.notifications import notification_manager


@pytest.fixture(autouse=True)
def _disable_qt_warnings(monkeypatch) -> None:
    """Do what napari's own fixture of this name does."""
    from napari._qt import qt_main_window

    monkeypatch.setattr(qt_main_window, "SHOW_QT_WARNING", False)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """A real viewer as plugins get it: public attributes only, changed from the GUI thread only."""
    return make_napari_viewer_proxy()


@pytest.fixture
def messages():
    """Return the list of messages shown to the person."""
    notification_manager.records.clear()
    found: list[str] = []

    def keep(notification) -> None:
        found.append(notification.message)

    notification_manager.notification_ready.connect(keep)
    yield found
    notification_manager.notification_ready.disconnect(keep)


@pytest.fixture
def desk(viewer, qtbot, messages, tmp_path, monkeypatch):
    """A viewer with the person's hands, eyes and docks; projects go to a folder of the test."""
    from napari.settings import get_plugin_settings

    from napari_convnet.widgets.axes import AxesDialog

    def refuse(_dialog) -> None:
        raise AssertionError("asked for axes, which this test does not answer")

    monkeypatch.setattr(AxesDialog, "exec", refuse)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user data"))
    folders = get_plugin_settings("napari-convnet").folders
    folders.projects = str(tmp_path / "projects")
    desk = Desk(viewer, qtbot, messages)
    yield desk
    desk.wait_until_idle()
    folders.projects = ""


def pytest_collection_modifyitems(items) -> None:
    """Let pass what scikit-image warns of while napari makes random colours for a labels layer."""
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in here:
        item.add_marker(pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB:UserWarning"))
