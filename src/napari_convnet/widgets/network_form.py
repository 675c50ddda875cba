"""Which network is to learn, from what it starts, and how it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QSpinBox, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_convnet.networks import NETWORKS
from napari_convnet.settings import TrainingSettings
from napari_convnet.widgets.settings_form import SettingsForm

NETWORKS_BY_TASK = {
    task: tuple(entry.network_id for entry in NETWORKS.values() if entry.task == task)
    for task in ("classify", "segment")
}
_BATCH_SIZES = {"classify": 16, "segment": 8}
_OPTIONS = (
    "learning_rate", "batch_size", "validation_fraction", "max_seconds", "weight_decay", "augment",
    "balance", "freeze_backbone", "seed",
)  # fmt: skip


_SIZE_TIPS = {
    False: "Side of the square that is cut around a cell or shown at once.",
    True: "Side of the square that every image is resized to.",
}


class NetworkForm(QWidget):
    """The Train dock's form; `said` carries what a person should know before pressing Train."""

    said = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._file = ""
        self.network = _choice("Network", "Which network learns. The first one is a good start.")
        self.pretrained = _choice(
            "Start from",
            "Random weights need nothing. Pretrained ones learn faster from few samples.",
        )
        self.epochs = _number(
            "Epochs", "Passes over the training samples; automatic fits their number.", 0, 10_000
        )
        self.patch_size = _number("Patch size", _SIZE_TIPS[False], 0, 1024)
        self.patch_size.setSuffix(" px")
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        for label, control in (
            ("Network", self.network), ("Start from", self.pretrained),
            ("Epochs", self.epochs), ("Patch size", self.patch_size),
        ):  # fmt: skip
            form.addRow(label, control)
        self._size_label = form.labelForField(self.patch_size)
        self.options = SettingsForm(TrainingSettings, _OPTIONS)
        self.more = QCollapsible("More options")
        self.more.setDuration(0)
        self.more.addWidget(self.options)
        toggle = self.more.toggleButton()
        toggle.setAccessibleName("More options")
        toggle.setToolTip("Show or hide the further settings of training.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.more)
        self.network.currentTextChanged.connect(self._show_network)
        self.pretrained.activated.connect(self._choose_pretrained)

    def show_task(self, task: str, whole_images: bool = False) -> None:
        """Offer the networks of a task; whole images are resized where patches would be cut."""
        self._size_label.setText("Image size" if whole_images else "Patch size")
        self.patch_size.setToolTip(_SIZE_TIPS[whole_images])
        self.network.clear()
        self.network.addItems(NETWORKS_BY_TASK.get(task, ()))
        self.options.set_value({"batch_size": _BATCH_SIZES.get(task, 16)})

    @property
    def weights(self) -> str:
        """``"none"``, ``"imagenet"`` or the path of a file with weights."""
        chosen = self.pretrained.currentData()
        return self._file if chosen == "file" else chosen or "none"

    def settings(self, device: str) -> TrainingSettings:
        """Return how to train.

        Raises
        ------
        UserError
            CN-501 for a value out of its range.
        """
        epochs = self.epochs.value() or TrainingSettings.epochs
        return TrainingSettings(device=device, epochs=epochs, **self.options.value())

    def record(self) -> dict[str, Any]:
        """Return what the project keeps of a run's settings; 0 means chosen from the data."""
        return {
            "epochs": self.epochs.value(),
            "patch_size": self.patch_size.value(),
            "weights": Path(self.weights).name,
            **self.options.value(),
        }

    def _show_network(self, network: str) -> None:
        if not network:
            return
        self.options.set_value({"learning_rate": NETWORKS[network].learning_rate})
        self.pretrained.clear()
        self.pretrained.addItem("random weights", "none")
        if NETWORKS[network].has_pretrained_weights:
            self.pretrained.addItem("ImageNet (download)…", "imagenet")
        self.pretrained.addItem("weights file…", "file")

    def _choose_pretrained(self, index: int) -> None:
        chosen = self.pretrained.currentData()
        if chosen == "imagenet":
            self.said.emit(_imagenet_note(self.network.currentText()))
        elif chosen == "file":
            title, kinds = "Pretrained weights", "Weights (*.safetensors)"
            path, _ = QFileDialog.getOpenFileName(self, title, str(Path.home()), kinds)
            if path:
                self._file = path
                self.pretrained.setItemText(index, f"{Path(path).name}…")
            elif not self._file:
                self.pretrained.setCurrentIndex(0)


def _imagenet_note(network: str) -> str:
    from napari_convnet.networks import describe_weights

    weights = describe_weights(network)
    return (
        f"Train will download {weights.megabytes:.0f} MB once ({weights.name}; {weights.licence}). "
        "Choose 'random weights' if you do not want that."
    )


def _choice(name: str, tooltip: str) -> QComboBox:
    combo = QComboBox()
    combo.setAccessibleName(name)
    combo.setToolTip(tooltip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return combo


def _number(name: str, tooltip: str, low: int, high: int) -> QSpinBox:
    box = QSpinBox()
    box.setAccessibleName(name)
    box.setToolTip(tooltip)
    box.setRange(low, high)
    box.setSpecialValueText("automatic")
    return box
