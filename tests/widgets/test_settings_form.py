"""A form made from settings says what they say and gives back what it was given."""

from __future__ import annotations

import dataclasses

import pytest

from napari_convnet.settings import TrainingSettings, field_options
from napari_convnet.widgets.network_form import NETWORKS_BY_TASK, NetworkForm
from napari_convnet.widgets.settings_form import SettingsForm

_NAMES = [field.name for field in dataclasses.fields(TrainingSettings)]
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainingSettings)}


@pytest.fixture
def form(qtbot):
    form = SettingsForm(TrainingSettings, _NAMES)
    qtbot.addWidget(form)
    return form


def test_defaults_come_back_unchanged(form):
    assert form.value() == _DEFAULTS
    assert TrainingSettings(**form.value()) == TrainingSettings()


def test_other_values_come_back_unchanged_and_are_told(form, qtbot):
    values = {
        "epochs": 7, "max_seconds": 30.0, "batch_size": 4, "learning_rate": 3e-5, "weight_decay": 2e-6,
        "validation_fraction": 0.35, "augment": False, "balance": "off", "device": "cpu", "seed": 12345,
        "freeze_backbone": True,
    }  # fmt: skip
    with qtbot.waitSignal(form.changed):
        form.set_value(values)
    assert form.value() == pytest.approx({**_DEFAULTS, **values})


def test_every_control_has_the_tooltip_and_the_name_of_its_setting(form):
    options = field_options(TrainingSettings)
    for name, control in form.controls.items():
        assert control.native.toolTip() == options[name]["tooltip"]
        assert control.native.accessibleName()


@pytest.mark.parametrize("task", ["classify", "segment"])
def test_networks_and_their_rates_are_those_of_the_catalogue(task, qtbot):
    from napari_convnet.networks import NETWORKS

    catalogue = {e.network_id: e.learning_rate for e in NETWORKS.values() if e.task == task}
    assert sorted(NETWORKS_BY_TASK[task]) == sorted(catalogue)
    form = NetworkForm()
    qtbot.addWidget(form)
    form.show_task(task)
    for name, rate in catalogue.items():
        form.network.setCurrentText(name)
        assert form.options.value()["learning_rate"] == pytest.approx(rate)


def test_a_backbone_starts_with_a_smaller_rate_and_offers_pretrained_weights(qtbot):
    form = NetworkForm()
    qtbot.addWidget(form)
    form.show_task("classify")
    assert form.options.value()["learning_rate"] == pytest.approx(2e-3)
    assert [form.pretrained.itemData(k) for k in range(form.pretrained.count())] == [
        "none", "file", "model_file",
    ]  # fmt: skip
    form.network.setCurrentText("resnet18")
    assert form.options.value()["learning_rate"] == pytest.approx(5e-4)
    assert form.pretrained.findData("imagenet") > 0
    assert form.weights == "none"


def test_the_price_and_licence_of_a_download_are_said_before_it(qtbot):
    form = NetworkForm()
    qtbot.addWidget(form)
    form.show_task("classify")
    form.network.setCurrentText("resnet18")
    index = form.pretrained.findData("imagenet")
    with qtbot.waitSignal(form.said) as said:
        form.pretrained.setCurrentIndex(index)
        form.pretrained.activated.emit(index)
    assert "MB" in said.args[0]
