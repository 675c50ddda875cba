"""The choice of a network: those of the catalogue, their named settings, and the project's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox

from napari_convnet.errors import UserError
from napari_convnet.networks.catalogue import NETWORKS
from napari_convnet.networks.graph_json import graph_from_json
from napari_convnet.project import NetworkRecord


class NetworkChoice(QComboBox):
    """A list of networks; `network_id` and `settings` are what training takes."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Network")
        self.setToolTip("Which network learns. The first one is a good start.")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.task = ""
        self._saved: tuple[NetworkRecord, ...] = ()

    @property
    def network_id(self) -> str:
        """Its id in the catalogue; empty while nothing is offered."""
        chosen = self.currentData()
        return chosen[0] if chosen else ""

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings, where they are not the defaults; those of a person's own network hold its layers."""
        chosen = self.currentData()
        return dict(chosen[1]) if chosen else {}

    def record(self) -> dict[str, Any]:
        """Return what tells the network from others of its kind: what it is called here, and its settings."""
        return {"network_name": self.currentText(), "network_settings": self.settings}

    def show_task(self, task: str) -> None:
        """Offer the networks of a task, the first one chosen."""
        self.task = task
        with QSignalBlocker(self):
            self.clear()
            self._fill()
            self.setCurrentIndex(0 if self.count() else -1)
        self.currentIndexChanged.emit(self.currentIndex())

    def set_saved(self, saved: Sequence[NetworkRecord]) -> None:
        """Offer these networks of the project's, too, and keep the choice if it is still offered."""
        before = (self.currentText(), self.network_id)
        self._saved = tuple(saved)
        with QSignalBlocker(self):
            self.clear()
            self._fill()
            places = [
                index for index in range(self.count())
                if before == (self.itemText(index), (self.itemData(index) or ("",))[0])
            ]  # fmt: skip
            self.setCurrentIndex(places[0] if places else 0 if self.count() else -1)
        if not places:  # what else is set for a network stays as long as it is chosen
            self.currentIndexChanged.emit(self.currentIndex())

    def choose_saved(self, name: str) -> bool:
        """Choose a network of the project's; return False if it is of no use for the task."""
        for index in range(self.count()):
            if self.itemText(index) == name and (self.itemData(index) or ("",))[0] == "custom":
                self.setCurrentIndex(index)
                return True
        return False

    def _fill(self) -> None:
        for entry in NETWORKS.values():
            if entry.task != self.task:
                continue
            tip = f"{entry.title}: {entry.purpose}"
            self._offer(entry.network_id, entry.network_id, {}, tip)
            for name, values in entry.presets.items():
                text = f"{entry.network_id}, {name.replace('_', ' ')}"
                self._offer(text, entry.network_id, values, tip)
        own = [record for record in self._saved if does(record, self.task)]
        if own and self.count():
            self.insertSeparator(self.count())
        for record in own:
            settings = {"graph": record.graph}
            self._offer(record.name, "custom", settings, "Layers that are saved in this project.")

    def _offer(self, text: str, network_id: str, settings: Any, tip: str) -> None:
        self.addItem(text, (network_id, dict(settings)))
        self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)


def does(record: NetworkRecord, task: str) -> bool:
    """Return whether a saved network can be meant for a task: maps segment, values classify and locate."""
    try:
        return graph_from_json(record.graph).is_spatial == (task == "segment")
    except UserError:  # a stranger's project; the designer says what is wrong
        return False
