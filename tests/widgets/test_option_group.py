"""Options of training that are folded away: their values hold without a form, which shows them when it is made."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QLabel

from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.network_form import NetworkForm
from napari_convnet.widgets.option_group import OptionGroup


@pytest.fixture
def form(qtbot):
    form = NetworkForm()
    qtbot.addWidget(form)
    form.show_task("classify")
    return form


def test_opening_the_dock_makes_the_form_in_sight_and_no_other(form):
    made = [name for name, group in form.options.groups.items() if group.is_made]
    assert made == ["basic"]


def test_a_group_is_made_when_it_is_unfolded_and_shows_what_was_set_before(form):
    options = form.options
    options.set_defaults({"momentum": 0.8})
    options.set_value({"solver": "sgdm", "patience": 3})
    options.explain({}, {"momentum": "as suits few samples"})
    assert options.changed_values() == {"solver": "sgdm", "patience": 3}
    fold, group = options.folds["solver"], options.groups["solver"]
    assert fold.button.text().endswith("Solver (1 changed)")
    fold.button.click()
    controls = group.form.controls
    assert group.form.parent() is not None
    assert controls["solver"].value == "sgdm"
    assert controls["momentum"].value == 0.8
    assert controls["momentum"].native.toolTip().endswith("as suits few samples")
    bold = {label.text() for label in group.form.findChildren(QLabel) if label.font().bold()}
    assert bold == {"Solver"}
    controls["momentum"].value = 0.5
    assert options.changed_values() == {"solver": "sgdm", "patience": 3, "momentum": 0.5}
    assert options.settings().momentum == 0.5
    options.reset()
    assert controls["solver"].value == "adamw"
    assert controls["momentum"].value == 0.8
    assert options.changed_values() == {}
    made = {name for name, group in options.groups.items() if group.is_made}
    assert made == {"basic", "solver"}


def test_values_are_the_same_with_and_without_a_form(qtbot):
    names = ("solver", "momentum", "weight_decay")
    folded, shown = (OptionGroup(TrainingSettings, names, ()) for _ in range(2))
    qtbot.addWidget(shown.form)
    told = []
    for group in (folded, shown):
        group.changed.connect(lambda group=group: told.append(group))
        group.set_value({"momentum": 0.25})
        group.set_defaults({"momentum": 0.5, "weight_decay": 0.125})
        group.set_value({"momentum": 0.25})  # nothing new
    assert folded.value() == shown.value() != {}
    assert folded.changed_values() == shown.changed_values() == {"momentum": 0.25}
    assert told.count(folded) == told.count(shown) == 2
