"""The time that is left is reckoned from the steps that were seen, anew for each part of a job."""

from __future__ import annotations

import pytest

from napari_convnet.progress import Progress
from napari_convnet.widgets import time_left
from napari_convnet.widgets.time_left import TimeLeft


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time_left.time, "monotonic", lambda: now[0])
    return now


def test_the_first_step_tells_nothing_and_the_next_ones_the_pace(clock):
    line = TimeLeft()
    assert line.describe(Progress(done=0, total=0, text="preparing")) == "preparing"
    assert line.describe(Progress(done=1, total=11, text="tile 1 of 11")) == "tile 1 of 11"
    clock[0] += 4
    assert line.describe(Progress(done=3, total=11, text="tile 3")) == "tile 3, 16 s left"
    assert line.describe(Progress(done=1, total=50, text=""), "numbering") == "numbering"
    clock[0] += 1
    assert line.describe(Progress(done=2, total=50, text=""), "numbering") == "numbering, 48 s left"
