"""Projects to test with."""

import numpy as np
import pytest
from project_helpers import fill, make_project

from napari_convnet.classes import make_classes
from napari_convnet.project import Project


@pytest.fixture
def path(tmp_path):
    """Where `project` is."""
    return tmp_path / "cells.convnet"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backups"


@pytest.fixture
def project(path, folder):
    with Project.create(path, backup_folder=folder) as project:
        project.set_classes("classify", make_classes(["round", "long", "dividing"]))
        project.set_classes("segment", make_classes(["background", "cell"]))
        yield project


@pytest.fixture
def image_id(project):
    shape = (5, 600, 700)
    return project.add_image("dapi", "/data/dapi.tif", shape, np.uint16, "ZYX", (2, 0.1, 0.1), "µm")


@pytest.fixture
def filled(tmp_path, folder):
    """A filled and closed project."""
    path = tmp_path / "cells.convnet"
    with make_project(path, folder) as project:
        fill(project)
    return path
