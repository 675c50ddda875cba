"""Training begun and stopped again and again leaves nothing behind: no memory, thread, timer, network or job."""

from __future__ import annotations

import gc
import threading
from collections import Counter

import numpy as np
import psutil
import pytest
import torch
from dock_helpers import press
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from napari_convnet.widgets.background import Job
from napari_convnet.widgets.source import PlaneArrays
from napari_convnet.widgets.training_job import Trained, TrainingRequest

_COUNTED = {
    "timers": QTimer,
    "modules of networks": torch.nn.Module,
    "jobs": Job,
    "requests": TrainingRequest,
    "results": Trained,
    "copies of pixels": PlaneArrays,
}
#: Of RELIABILITY.md, 5.5; MiB a cycle after the warm-up.
_WARM_UP, _CYCLES, _SLOPE = 20, 100, 0.2


@pytest.fixture
def train(desk):
    dock = desk.open_train_with_cells(40)
    dock.form.network.setCurrentText("convnet, small")
    dock.form.patch_size.setValue(32)
    dock.form.epochs.setValue(5000)
    return dock


def cycle(desk, train, n_batches: int) -> None:
    """Train some batches, stop, and wait until the model is kept and applied."""
    press(train.train_button)
    points = train.curves._points["batch"]
    desk.qtbot.waitUntil(lambda: len(points.values) >= n_batches, timeout=60_000)
    assert train.training.state == "running", desk.messages
    press(train.stop_button)
    desk.qtbot.waitUntil(lambda: train.training.state == "idle", timeout=60_000)
    desk.wait_until_idle()
    assert train.predicting.state == "idle"


def what_is_there() -> Counter:
    """Count what a cycle could leave over."""
    gc.collect()
    found = Counter(dict.fromkeys(_COUNTED, 0))
    for each in gc.get_objects():
        for name, kind in _COUNTED.items():
            if issubclass(type(each), kind):
                found[name] += not issubclass(kind, QTimer) or isalive(each)
    is_own = [not isinstance(thread, threading._DummyThread) for thread in threading.enumerate()]
    found["threads"] = sum(is_own)  # the others are of Qt's pool, which ends them by and by
    found["open files"] = len(psutil.Process().open_files())
    return found


def more_than(before: Counter) -> dict[str, int]:
    """Return what there is more of than before; a network of an earlier test may go meanwhile."""
    return {name: n for name, n in what_is_there().items() if n > before[name]}


def test_a_few_trainings_that_are_stopped_leave_nothing_over(desk, train):
    for _ in range(2):
        cycle(desk, train, 2)
    before = what_is_there()
    assert before["modules of networks"] > 0  # of the model that was kept
    for n_batches in (1, 5, 2):
        cycle(desk, train, n_batches)
    assert not more_than(before)
    assert [run.outcome for run in desk.session.project.runs()] == ["stopped"] * 5
    assert not desk.messages


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_memory_does_not_grow_over_a_hundred_trainings(desk, train):
    process, random = psutil.Process(), np.random.default_rng(0)
    memory, before = [], Counter()
    for number in range(_CYCLES):
        cycle(desk, train, int(random.integers(1, 40)))
        gc.collect()
        memory.append(process.memory_info().rss / 2**20)
        if number + 1 == _WARM_UP:
            before, n_threads = what_is_there(), process.num_threads()
    kept = np.array(memory[_WARM_UP:])
    slope = np.polyfit(np.arange(len(kept)), kept, 1)[0]
    print(f"\n{slope:.3f} MiB a cycle, from {kept[0]:.0f} to {kept[-1]:.0f} MiB")
    assert not more_than(before)
    assert process.num_threads() <= n_threads
    assert slope <= _SLOPE
