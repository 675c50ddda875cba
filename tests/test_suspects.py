"""Annotations that are probably wrong: planted ones are found, a clean set raises next to none."""

from __future__ import annotations

import csv
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_folders import command, make_shape_folder, one_message
from napari_convnet import TrainingSettings, UserError, run
from napari_convnet.evaluation import find_suspects, judge
from synthetic_pictures import shape_set

HOW = TrainingSettings(epochs=6, batch_size=16, device="cpu")


def test_flipped_annotations_are_found_and_come_first():
    samples = shape_set(120)
    flipped = np.random.default_rng(0).choice(120, 6, replace=False)
    targets = samples.targets.clone()
    targets[flipped] = 1 - targets[flipped]
    steps = find_suspects(
        replace(samples, targets=targets), "convnet", replace(HOW, epochs=30), has_epochs=True
    )
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as ended:
            found = ended.value
            break
    assert found.n_samples == 120
    assert len(set(flipped) & set(found.indices[:8])) >= 5
    np.testing.assert_array_equal(found.given, targets[found.indices])
    np.testing.assert_array_equal(found.suggested, 1 - found.given)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-5)
    shares = [event.share for event in events if event.total]
    assert shares == sorted(shares)
    assert events[-1].text.startswith("model 5 of 5: ")


def test_a_class_that_is_always_doubtful_is_not_suspected_as_a_whole():
    targets = np.array([0] * 50 + [1] * 50)
    chance = np.random.default_rng(0).uniform(0.9, 1, 100)
    chance[50:] = np.random.default_rng(1).uniform(0.35, 0.5, 50)  # of class 0, where 1 is given
    probabilities = np.stack([chance, 1 - chance], axis=1)
    probabilities[60] = 0.97, 0.03
    probabilities[5] = 0.2, 0.8
    found = judge(targets, probabilities)
    assert found.indices.tolist() == [60, 5]
    assert found.suggested.tolist() == [0, 1]
    probabilities[5] = 0.45, 0.55  # less than samples of class 1 usually have
    assert judge(targets, probabilities).indices.tolist() == [60]


def test_a_rare_class_makes_fewer_folds_and_a_single_sample_is_refused():
    samples = shape_set(40)
    targets = torch.zeros(40, dtype=torch.int64)
    targets[:3] = 1
    steps = find_suspects(
        replace(samples, targets=targets), "convnet", replace(HOW, epochs=1), has_epochs=True
    )
    assert "model 1 of 3" in next(steps).text
    steps.close()
    targets[:2] = 0
    with pytest.raises(UserError) as refused:
        run(find_suspects(replace(samples, targets=targets), "convnet", HOW))
    assert refused.value.code == "CN-647"


def test_groups_stay_together():
    samples = shape_set(60)
    groups = np.repeat(np.arange(6).astype(str), 10)
    split = replace(samples.split, groups=groups)
    steps = find_suspects(
        replace(samples, split=split), "convnet", replace(HOW, epochs=1), has_epochs=True
    )
    next(steps)
    part = steps.gi_frame.f_locals["part"]
    left_out = np.setdiff1d(np.arange(60), part.split.training)
    assert not set(groups[left_out]) & set(groups[part.split.training])
    steps.close()


def test_it_stops_without_a_result():
    stop = threading.Event()
    steps = find_suspects(shape_set(40), "convnet", HOW, has_epochs=True, stop=stop)
    next(steps)
    stop.set()
    assert run(steps) is None


def test_the_command_lists_files_in_the_wrong_folder(tmp_path):
    folder, table = make_shape_folder(tmp_path / "data", 30), tmp_path / "suspects.csv"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    moved = sorted((folder / names[0]).iterdir())[0]
    wrong = folder / names[1] / f"moved{moved.suffix}"
    moved.rename(wrong)
    result = command(
        "suspects", folder, "-o", table, "--size", 24, "--epochs", 60, "--device", "cpu"
    )
    assert result.exit_code == 0, result.output
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert str(wrong) in [row["file"] for row in rows[:3]]
    [row] = [row for row in rows if row["file"] == str(wrong)]
    assert (row["class"], row["probably"]) == (names[1], names[0])
    assert float(row["its_probability"]) > float(row["probability"])
    assert "doubted by networks that never saw them" in " ".join(result.output.split())
    refused = command("suspects", folder, "-o", tmp_path / "no" / "such.csv")
    assert "There is no folder" in one_message(refused, "CN-506")
