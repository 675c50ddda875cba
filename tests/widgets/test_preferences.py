"""The plugin's page in napari's preferences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from qtpy.QtCore import Qt

from napari_convnet.widgets.preferences import read_preferences


@pytest.fixture
def settings(viewer):
    settings = get_plugin_settings("napari-convnet")
    before = (settings.training.device, settings.keys.class_modifier, settings.folders.models)
    yield settings
    settings.training.device, settings.keys.class_modifier, settings.folders.models = before
    settings.training.predict_after_training = True


def test_the_defaults_of_the_manifest_are_read(viewer):
    preferences = read_preferences()
    assert preferences.device == "auto"
    assert preferences.predicts_after_training
    assert preferences.class_modifier == "Control"
    assert preferences.project_folder.is_absolute()
    assert preferences.model_folder == Path.home()


def test_what_is_chosen_is_read(settings, tmp_path):
    settings.training.device = "cpu"
    settings.training.predict_after_training = False
    settings.folders.models = str(tmp_path)
    preferences = read_preferences()
    assert preferences.device == "cpu"
    assert not preferences.predicts_after_training
    assert preferences.model_folder == tmp_path


def test_another_key_chooses_the_class(settings, desk):
    settings.keys.class_modifier = "Alt"
    desk.open_sample("blood-smear-1")
    annotate = desk.open_dock("Annotate")
    assert annotate.class_table.table.item(1, 2).text() == "Alt+2"
    tool = desk.use_tool(annotate, "click_cells")
    desk.key(Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    assert desk.session.current_class == 2
    desk.click(tool.labels, np.argwhere(tool.labels.data == 20)[30])
    assert desk.session.class_counts() == [0, 1]
