"""The README's promises that a test can keep: its Python lines, its commands, its pictures, its links."""

import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parents[1] / "README.md"


def test_python_example_trains_a_model_that_knows_the_held_out_smear(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1), names)
    class_names = [info.name for info in names["classes"]]
    truth = [
        class_names.index(names["other"].classes[label]) + 1 for label in names["result"].labels
    ]
    assert (names["result"].values == np.array(truth)).mean() >= 0.9
    assert (tmp_path / "cells.safetensors").exists()


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text()))
def test_links_and_pictures_exist(target):
    assert (README.parent / target).exists()


def test_the_two_commands_are_there_and_executable():
    for command in ("scripts/run_demo.sh", "scripts/run_tests.sh"):
        assert f"./{command}" in README.read_text()
        assert (README.parent / command).stat().st_mode & 0o111


def test_the_house_names_every_module():
    text = README.read_text()
    house = text[text.index("## How it is built") :]
    package = README.parent / "src" / "napari_convnet"
    modules = {
        p.stem
        for p in package.iterdir()
        if not p.name.startswith("_") and (p.is_dir() or p.suffix == ".py")
    }
    assert {name for name in modules if name not in house} == set()
