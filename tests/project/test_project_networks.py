"""Networks that a person has put together: kept by name, replaced, forgotten, restored from a backup."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from project_helpers import code_of, reopened

from napari_convnet.networks import graph_from_json, graph_to_json
from napari_convnet.networks.network_settings import STARTER_GRAPH
from napari_convnet.project import Project

OLD = Path(__file__).parent / "data" / "format_1.convnet"
GRAPH = graph_to_json(graph_from_json(STARTER_GRAPH))


def test_networks_are_kept_replaced_and_forgotten(project):
    project.save_network("zebra", "{}")
    project.save_network("  my cells ", GRAPH)
    project.save_network("zebra", STARTER_GRAPH)
    with reopened(project) as again:
        assert again.damage == ()
        assert [(n.name, n.graph) for n in again.networks()] == [
            ("my cells", GRAPH),
            ("zebra", STARTER_GRAPH),
        ]
        assert graph_from_json(again.networks()[0].graph) == graph_from_json(STARTER_GRAPH)
        again.remove_network("zebra")
        assert [n.name for n in again.networks()] == ["my cells"]
        assert code_of(again.remove_network, "zebra") == "CN-331"


@pytest.mark.parametrize("name", ["", "   ", "a" * 41, "two\nlines", "bell\a"])
def test_a_name_that_cannot_be_shown_is_refused(project, name):
    assert code_of(project.save_network, name, GRAPH) == "CN-338"
    assert project.networks() == ()


def test_layers_without_end_are_refused(project):
    assert code_of(project.save_network, "huge", "x" * 100_001) == "CN-338"
    assert project.networks() == ()


def test_a_damaged_network_is_left_out_and_restored_from_a_backup(project, path, folder):
    project.save_network("my cells", GRAPH)
    reopened(project).close()  # a backup is made at an opening
    damage = "UPDATE network SET graph = replace(graph, 'conv', 'cone')"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute(damage)
    with Project.open(path, backup_folder=folder, read_only=True) as damaged:
        assert "network (name my cells): damaged" in damaged.damage[0]
        assert damaged.networks() == ()
    with Project.open(path, backup_folder=folder) as restored:
        assert "restored" in restored.damage[0]
        assert [n.graph for n in restored.networks()] == [GRAPH]


def test_a_project_of_format_1_takes_networks_once_it_may_be_written(path, folder):
    shutil.copy(OLD, path)
    with Project.open(path, read_only=True) as old:
        assert old.networks() == ()
        assert code_of(old.save_network, "mine", GRAPH) == "CN-305"
    with Project.open(path, backup_folder=folder) as project:
        project.save_network("mine", GRAPH)
    with Project.open(path, backup_folder=folder) as again:
        assert [n.name for n in again.networks()] == ["mine"]
