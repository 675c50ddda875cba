"""A nameless project that a crash left open is offered again; nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import tifffile
from dock_helpers import press

from napari_convnet.project import Project
from napari_convnet.widgets import recovery

ANNOTATE = """
import sys, time
from napari_convnet.classes import make_classes
from napari_convnet.project import Project
project = Project.create(sys.argv[1])
project.set_classes("classify", make_classes(["round", "long", "odd"]))
project.set_classes("segment", make_classes(["back", "cell"]))
project.add_image("a", sys.argv[2], (64, 80), "uint8", "YX")
for number in range(1, 1 + int(sys.argv[3])):
    project.set_object_class(1, "cells", number, (), (number, number), 1 + number % 3)
print("ready", flush=True)
time.sleep(60)
"""


def crash(path, image="", count=14):
    """Annotate in another program and kill it."""
    path.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-c", ANNOTATE, str(path), str(image), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGKILL)


def named(tmp_path, text="2026-11-21 12.31.05.123456"):
    return tmp_path / "projects" / f"{text}.convnet"


def test_a_nameless_project_of_a_killed_program_is_offered_and_opened(desk, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.eye(64, 80, dtype=np.uint8))
    crash(named(tmp_path), tmp_path / "a.tif")
    bar = desk.open_dock("Annotate").project_bar
    assert not bar.recovery.isHidden()
    assert "was not closed: 14 annotations." in bar.recovery.label.text()
    press(bar.recovery.open_button)
    assert desk.session.project.path == named(tmp_path)
    assert not desk.session.project.read_only
    assert sum(desk.session.class_counts()) == 14
    assert [layer.name for layer in desk.viewer.layers] == ["a"]
    assert bar.recovery.isHidden()
    assert not desk.messages


def test_an_offer_declined_is_made_again_at_the_next_start_only(desk, tmp_path):
    crash(named(tmp_path), count=1)
    dock = desk.open_dock("Annotate")
    assert "was not closed: 1 annotation." in dock.project_bar.recovery.label.text()
    press(dock.project_bar.recovery.later_button)
    assert dock.project_bar.recovery.isHidden()
    assert desk.session.project is None
    desk.close_dock(dock)
    dock = desk.open_dock("Annotate")
    assert dock.project_bar.recovery.isHidden()
    desk.close_dock(dock)
    recovery._DECLINED.clear()  # as the next start does
    assert not desk.open_dock("Annotate").project_bar.recovery.isHidden()
    assert sorted(os.listdir(named(tmp_path).parent))[0] == named(tmp_path).name


def test_the_newest_of_two_lost_projects_is_offered_first(desk, tmp_path):
    for name, count in (("2026-11-20 09.00.00.000001", 3), ("2026-11-21 09.00.00.000001", 4)):
        crash(named(tmp_path, name), count=count)
    assert recovery.find_unclosed().count == 4
    with Project.open(named(tmp_path, "2026-11-21 09.00.00.000001")):
        assert recovery.find_unclosed().count == 3


def test_what_was_closed_is_empty_is_named_or_is_in_use_is_not_offered(desk, tmp_path):
    crash(named(tmp_path), count=0)
    crash(named(tmp_path, "my cells"))
    closed = named(tmp_path, "2026-11-21 12.31.05.000001")
    crash(closed)
    Project.open(closed).close()
    named(tmp_path, "2026-11-21 12.31.05.000002").write_bytes(b"no project")
    crash(named(tmp_path, "2026-11-21 12.31.05.000003"))
    in_use = Project.open(named(tmp_path, "2026-11-21 12.31.05.000003"))
    assert recovery.find_unclosed() is None
    assert desk.open_dock("Annotate").project_bar.recovery.isHidden()
    in_use.close()


def test_a_project_in_use_by_another_program_is_not_offered(desk, tmp_path):
    path = named(tmp_path)
    path.parent.mkdir()
    command = [sys.executable, "-c", ANNOTATE, str(path), "", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "ready\n"
        assert recovery.find_unclosed() is None
        program.send_signal(signal.SIGKILL)
    assert recovery.find_unclosed().count == 5


def test_a_dock_opened_with_a_project_offers_no_other(desk, tmp_path):
    crash(named(tmp_path))
    with Project.create(tmp_path / "other.convnet") as project:
        path = project.path
    desk.viewer.open(path, plugin=None)
    assert desk.session.project.path == path
    assert desk.open_dock("Annotate").project_bar.recovery.isHidden()
