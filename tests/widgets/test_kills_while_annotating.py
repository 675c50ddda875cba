"""A napari that annotates is killed at any moment: the file opens, is whole, and lacks at most the last 2 s."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from annotate_until_killed import PLACES, SIDE, STROKE_LENGTH

from napari_convnet.project import Project

_SCRIPT = Path(__file__).with_name("annotate_until_killed.py")
_MAY_BE_LOST = 2.0
_START_SECONDS = 900

Lines = list[list]


def read_log(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def annotate_and_kill(project: Path, log: Path, seed: int, chance: random.Random) -> float:
    """Start napari, kill it at some moment of its annotating, and return when that was."""
    known = count_lines(log)
    home = project.parent.parent / "home"
    environment = {
        **os.environ,
        "NAPARI_CONFIG": str(home / "napari.yaml"), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home),
    }  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, str(_SCRIPT), str(project), str(log), str(seed)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + _START_SECONDS
        while count_lines(log) < known + 2:  # it is open, and begins to annotate
            assert child.poll() is None, child.communicate()[0]
            assert time.monotonic() < end, "napari did not start"
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 4))
        assert child.poll() is None, child.communicate()[0]
    finally:
        killed_at = time.time()
        child.kill()
        child.communicate()
    return killed_at


Found = dict[str, dict[int, int]]


def what_is_in(project: Project) -> Found:
    """Return the class value by place for each kind of annotation."""
    image = project.images()[0].id
    nearest = {}
    for patch in project.patches(image):
        distances = [
            max(abs(a - b) for a, b in zip(patch.centre, at, strict=True)) for at in PLACES
        ]
        assert min(distances) < 4, patch
        nearest[distances.index(min(distances))] = patch.value
    painted = project.read_painting(image, (), (SIDE, SIDE))
    strokes = {k: int(painted[y, x + STROKE_LENGTH // 2]) for k, (y, x) in enumerate(PLACES)}
    return {
        "cell": {cell.label - 1: cell.value for cell in project.object_annotations(image)},
        "patch": nearest,
        "stroke": {k: value for k, value in strokes.items() if value},
    }


def check(lines: Lines, killed_at: float, before: Found, found: Found) -> Counter:
    """Compare what a project holds with what it held before and the log of the napari that was killed.

    Returns
    -------
    Counter
        How many annotations of each kind were logged as done, and how many of the last 2 s were lost.
    """
    expected = {kind: dict(places) for kind, places in before.items()}
    may_differ: set[tuple[str, int]] = set()
    counts: Counter = Counter()
    for word, at, kind, place, value in lines:
        if word == "begin":
            may_differ.add((kind, place))
            continue
        expected[kind][place] = value
        counts[kind] += 1
        # Clicks and patches are in the file when they are done; only strokes may wait.
        if kind != "stroke" or at < killed_at - _MAY_BE_LOST:
            may_differ.discard((kind, place))
    for kind, places in expected.items():
        for place in places.keys() | found[kind].keys():
            if found[kind].get(place) != places.get(place):
                assert (kind, place) in may_differ, (kind, place, lines, found)
                counts["lost"] += lines[-1][0] == "done" or lines[-1][2:4] != [kind, place]
    return counts


def survive_kills(folder: Path, number: int) -> Counter:
    """Kill napari so many times on one project, and check it each time."""
    chance, counts = random.Random(number), Counter()
    path, log = folder / "projects" / "cells.convnet", folder / "log"
    path.parent.mkdir()
    before: Found = {"cell": {}, "patch": {}, "stroke": {}}
    n_lines = 0
    for seed in range(number):
        killed_at = annotate_and_kill(path, log, seed, chance)
        lines = read_log(log)[n_lines:]
        n_lines += len(lines)
        with Project.open(path, backup_folder=folder / "backups") as project:
            assert project.damage == ()
            assert not project.read_only
            found = what_is_in(project) if project.images() else before
        counts += check(lines[1:], killed_at, before, found)  # the first says that it is open
        before = found
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert os.listdir(path.parent) == [path.name]
        print(f"{seed + 1} kills: {dict(counts)}", flush=True)
    return counts


def test_three_kills_while_annotating_lose_at_most_two_seconds(tmp_path):
    counts = survive_kills(tmp_path, 3)
    assert sum(counts.values()) > 3


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_three_hundred_kills_while_annotating_lose_at_most_two_seconds(tmp_path):
    counts = survive_kills(tmp_path, 300)
    assert min(counts[kind] for kind in ("cell", "patch", "stroke")) > 300
