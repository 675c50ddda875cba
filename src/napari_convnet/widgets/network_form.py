"""Which network is to learn, from what it starts, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_convnet.networks import NETWORKS
from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.network_choice import NetworkChoice
from napari_convnet.widgets.settings_control import make_narrow
from napari_convnet.widgets.start_from import StartFrom
from napari_convnet.widgets.training_options import TrainingOptions

NETWORKS_BY_TASK = {
    task: tuple(entry.network_id for entry in NETWORKS.values() if entry.task == task)
    for task in ("classify", "segment", "locate")
}

_SIZE_TIPS = {
    False: "Side of the square that is cut around a cell or shown at once.",
    True: "Side of the square that every image is resized to.",
}


class NetworkForm(QWidget):
    """The Train dock's form; `said` carries what a person should know before pressing Train.

    Parameters
    ----------
    memory
        What was set for each task, kept by the caller for as long as it likes.
    """

    said = Signal(str)

    def __init__(self, memory: dict[str, dict[str, Any]] | None = None) -> None:
        super().__init__()
        self._memory = {} if memory is None else memory
        self._shown = ""
        self.network = NetworkChoice()
        self.table_button = push_button(
            "Table…", "Show its layers, what training takes, and how long an epoch is."
        )
        self.design_button = push_button(
            "Design…", "Put layers together yourself, or change a network of the courses."
        )
        self.check_button = push_button(
            "Check data…",
            "Look for what would spoil the training or its score: rare classes, overexposed images, images unlike the "
            "others, swapped channels, copies across what is held out.",
        )
        self.start_from = StartFrom()
        self.pretrained = self.start_from.choice
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        for label, control in (
            ("Network", self.network),
            ("", row(self.table_button, self.design_button, self.check_button)),
            ("Start from", self.pretrained),
        ):
            form.addRow(label, control)
        form.addRow(self.start_from)
        self.options = TrainingOptions()
        self.epochs = self.options.basic.controls["epochs"].native
        self.patch_size = _number("Patch size", _SIZE_TIPS[False], 0, 1024)
        self.patch_size.setSuffix(" px")
        self._size_label = QLabel("Patch size")
        self.options.basic.add(self._size_label, self.patch_size)
        self.why = text_line("Why automatic settings are as they are")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.options)
        layout.addWidget(self.why)
        self.network.currentIndexChanged.connect(self._show_network)
        self.start_from.said.connect(self.said)

    def show_task(self, task: str, whole_images: bool = False, kept_as: str = "") -> None:
        """Offer the networks of a task as they were set before; whole images are resized where patches would be cut."""
        key = f"{kept_as} {task} {'whole' * whole_images}"
        if key == self._shown:
            return
        self.remember()
        self._shown = key
        self._size_label.setText("Image size" if whole_images else "Patch size")
        self.patch_size.setToolTip(_SIZE_TIPS[whole_images])
        self.network.show_task(task)
        self._recall(self._memory.get(key, {}))

    def remember(self) -> None:
        """Keep in the memory what is set for the task that is shown."""
        if self._shown:
            self._memory[self._shown] = {
                "network": self.network.currentText(), **self.start_from.remember(),
                "patch_size": self.patch_size.value(), "options": self.options.changed_values(),
            }  # fmt: skip

    def _recall(self, kept: dict[str, Any]) -> None:
        self.network.setCurrentText(kept.get("network", self.network.currentText()))
        self.start_from.recall(kept)
        self.patch_size.setValue(kept.get("patch_size", 0))
        self.patch_size.setSpecialValueText("auto")
        self.why.hide()
        self.options.forget()
        self.options.set_value(kept.get("options", {}))

    @property
    def weights(self) -> str:
        """``"none"``, ``"starter"``, ``"imagenet"`` or the path of a file with weights."""
        return self.start_from.weights

    def record(self) -> dict[str, Any]:
        """Return what the project keeps of a run's settings; 0 means chosen from the data."""
        options = {
            name: 0 if value is None else value for name, value in self.options.value().items()
        }
        return {
            **options,
            **self.network.record(),
            **self.start_from.record(self.patch_size.value()),
        }

    def explain(self, values: Mapping[str, Any], reasons: Mapping[str, str]) -> None:
        """Show what automatic settings have become, and why."""
        self.options.explain(values, reasons)
        self.patch_size.setSpecialValueText(f"auto: {values['patch_size']} px")
        chosen = [reasons[name] for name in sorted(self.options.automatic) if name in reasons]
        self.why.setText(f"Why: {' '.join(chosen)}")
        self.why.setVisible(bool(chosen))

    def _show_network(self, _index: int) -> None:
        network = self.network.network_id
        if not network:
            return
        self.options.set_defaults({"learning_rate": NETWORKS[network].learning_rate})
        self.start_from.offer(network, self.network.settings)


def _number(name: str, tooltip: str, low: int, high: int) -> QSpinBox:
    box = QSpinBox()
    box.setAccessibleName(name)
    box.setToolTip(tooltip)
    box.setRange(low, high)
    box.setSpecialValueText("auto")
    make_narrow(box)
    return box
