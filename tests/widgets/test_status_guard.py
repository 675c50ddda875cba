"""The status line's thread asks for the point under the mouse while points come and go."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from dock_helpers import press

N_CHANGES = 60


@pytest.fixture
def quick_switches():
    """Threads take turns much more often than usual, so that what is rare happens."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Asker(threading.Thread):
    """Asks a layer for status and value all the time, as napari's status thread does."""

    def __init__(self, layer) -> None:
        super().__init__()
        self.layer, self.errors, self.n_values = layer, [], 0
        self._is_over = threading.Event()

    def run(self) -> None:
        view = {"view_direction": None, "dims_displayed": [0, 1], "world": True}
        while not self._is_over.is_set():
            try:
                self.n_values += self.layer.get_value((20, 20), **view) is not None
                self.layer.get_status((20, 20), **view)
            except Exception as error:  # noqa: BLE001
                self.errors.append(error)

    def __enter__(self) -> Asker:
        self.start()
        return self

    def __exit__(self, *_error) -> None:
        self._is_over.set()
        self.join()


@pytest.mark.parametrize("kind", ["pick_patches", "mark_positions"])
def test_no_error_is_told_while_points_come_and_go(desk, quick_switches, kind):
    desk.viewer.add_image(np.zeros((60, 400), np.uint8), contrast_limits=(0, 1))
    dock = desk.open_dock("Annotate")
    press(dock.task_buttons["classify" if kind == "pick_patches" else "locate"])
    tool = desk.use_tool(dock, kind)
    add = tool.pick_at if kind == "pick_patches" else tool.mark_at
    add((20, 20))
    with Asker(tool.layer) as asker:
        for column in range(N_CHANGES):
            add((40, 40 + 2 * column))
        for column in range(0, N_CHANGES, 3):
            tool.remove_at((40, 40 + 2 * column))
    assert asker.errors == []
    assert asker.n_values > 10


def test_on_the_gui_thread_an_error_is_an_error(desk):
    desk.viewer.add_image(np.zeros((60, 400), np.uint8), contrast_limits=(0, 1))
    tool = desk.use_tool(desk.open_dock("Annotate"), "pick_patches")
    with pytest.raises(ValueError, match="inhomogeneous"):
        tool.layer.get_value([[20, 20], [20]])
