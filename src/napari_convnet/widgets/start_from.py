"""What a training begins with: random or starter weights, ImageNet's, those of a file, or a model of one's own."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QVBoxLayout, QWidget

from napari_convnet.networks import (
    NETWORKS,
    describe_starter_weights,
    describe_weights,
    has_starter_weights,
)
from napari_convnet.progress import Progress
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.controls import combo_box, text_line
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.session import Session

if TYPE_CHECKING:
    from napari_convnet.model_file import Model, ModelCard

_KINDS = "Safetensors (*.safetensors)"


class StartFrom(QWidget):
    """A note that says what the beginning means that is chosen in `choice`, and how to learn from it.

    The list itself stands in the form's row, as the note needs the width of the dock.
    `said` carries notes and refusals as they come up.
    """

    said = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.choice = combo_box(
            "Start from",
            "Random weights need nothing. Starter weights and other pretrained ones, or a model of yours, learn faster "
            "from few samples.",
        )
        self.note = text_line("What training starts from")
        self.logistic = QCheckBox("features + logistic regression")
        self.logistic.setAccessibleName("Features and logistic regression")
        self.logistic.setToolTip(
            "Leave the network as it is and fit only its last layer, in one pass: seconds instead of minutes."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self.logistic, self.note):
            layout.addWidget(widget)
        self._slot = JobSlot(self)
        self._session: Session | None = None
        self._network, self._network_settings = "", {}
        self._file, self._model_name = "", ""
        self._current: Model | None = None
        self._from_file: Model | None = None
        self._file_path: Path | None = None
        self.choice.activated.connect(self._choose)
        self.choice.currentIndexChanged.connect(self._show)

    # What is offered --------------------------------------------------------------------------

    def offer(self, network: str, settings: Mapping[str, Any]) -> None:
        """Offer what a network can start from; random weights are chosen unless a model is."""
        before = self.choice.currentData()
        self._network, self._network_settings = network, dict(settings)
        self.choice.blockSignals(True)
        self.choice.clear()
        self.choice.addItem("random weights", "none")
        if has_starter_weights(network, settings):
            self.choice.addItem("starter weights", "starter")
        if NETWORKS[network].has_pretrained_weights:
            self.choice.addItem("ImageNet (download)…", "imagenet")
        self.choice.addItem("weights file…", "file")
        if self._current is not None:
            self.choice.addItem(f"this model: {self._current.card.name}", "model")
        name = "model file…" if self._from_file is None else f"{self._model_name}…"
        self.choice.addItem(name, "model_file")
        kept = before if before in ("model", "model_file") else "none"
        self.choice.setCurrentIndex(max(0, self.choice.findData(kept)))
        self.choice.blockSignals(False)
        self._show()

    def follow(self, session: Session) -> None:
        """Offer the session's current model, whichever it is."""
        self._session = session
        session.model_changed.connect(self._follow)
        self._follow()

    def _follow(self) -> None:
        self._current = self._session.model
        if self._network:
            kept = self.remember()
            self.offer(self._network, self._network_settings)
            self.recall(kept)

    def remember(self) -> dict[str, Any]:
        """Return what is chosen, for `recall`."""
        return {
            "pretrained": self.choice.currentData(), "file": self._file, "logistic": self.logistic.isChecked(),
        }  # fmt: skip

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Choose what `remember` returned, where it is offered."""
        self._file = kept.get("file", "")
        index = max(0, self.choice.findData(kept.get("pretrained", "none")))
        self.choice.setCurrentIndex(index)
        if self.choice.currentData() == "file":
            self.choice.setItemText(index, f"{Path(self._file).name}…")
        self.logistic.setChecked(kept.get("logistic", False))
        self._show()

    # What is chosen ---------------------------------------------------------------------------

    @property
    def weights(self) -> str:
        """``"none"``, ``"starter"``, ``"imagenet"`` or the path of a file with weights."""
        chosen = self.choice.currentData()
        if chosen == "file":
            return self._file
        return chosen if chosen in ("starter", "imagenet") else "none"

    @property
    def model(self) -> Model | None:
        """The model to go on from, if one is chosen."""
        chosen = self.choice.currentData()
        return {"model": self._current, "model_file": self._from_file}.get(chosen)

    def complete(self, request: Any) -> Any:
        """Return a request with the model to start from, whose network and size it then has."""
        request = replace(request, features=self._is_logistic)
        if self.model is None:
            return request
        card = self.model.card
        size = "patch_size" if hasattr(request, "patch_size") else "input_size"
        return replace(
            request, network=card.network, network_settings=dict(card.network_settings), start_model=self.model,
            start_path=self._path,
            **{size: getattr(request, size) or self._size},
        )  # fmt: skip

    def record(self, patch_size: int) -> dict[str, Any]:
        """Return what the project keeps of this; a model's size holds where none was set."""
        facts: dict[str, Any] = {
            "weights": Path(self.weights).name, "pretrained": self.weights, "patch_size": patch_size or self._size,
        }  # fmt: skip
        if self._is_logistic:
            facts["features"] = "logistic"
        if self.model is not None:
            card = self.model.card
            facts |= {
                "started_from": card.name, "network_settings": dict(card.network_settings),
                "network_name": self._network_name(card),
            }  # fmt: skip
        return facts

    def _network_name(self, card: ModelCard) -> str:
        """Return what the project calls a model's network, or its name in the catalogue."""
        project = None if self._session is None else self._session.project
        saved = () if project is None else project.networks()
        graph = card.network_settings.get("graph")
        return next((record.name for record in saved if record.graph == graph), card.network)

    @property
    def _path(self) -> Path | None:
        """The file of the model to go on from, where it has one."""
        return self._file_path if self.model is self._from_file else self._session.model_path

    @property
    def _size(self) -> int:
        return self.model.card.patch_size or self.model.card.input_size[0] if self.model else 0

    @property
    def _is_logistic(self) -> bool:
        return self.logistic.isChecked() and not self.logistic.isHidden()

    def _show(self, _index: int = 0) -> None:
        chosen = self.choice.currentData()
        classifies = bool(self._network) and NETWORKS[self._network].task == "classify"
        self.logistic.setVisible(classifies and chosen != "none")
        text = describe_starter_weights() if chosen == "starter" else ""
        if chosen == "imagenet":
            text = describe_weights(self._network, self._network_settings).text
            if "will be downloaded" in text:
                text = f"Train downloads the weights first: {text}"
        elif self.model is not None:
            card = self.model.card
            names = ", ".join(entry.name for entry in card.classes)
            kept = " Its normalisation is kept." * (card.normalisation.mode == "training_set")
            text = (
                f"The network is that of '{card.name}' ({card.network}); classes of the same name ({names[:120]}) "
                f"keep what they know, new ones begin at random.{kept}"
            )
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def _choose(self, index: int) -> None:
        chosen = self.choice.currentData()
        if chosen in ("file", "model_file"):
            title = "Pretrained weights" if chosen == "file" else "Model to start from"
            path, _ = QFileDialog.getOpenFileName(self, title, str(Path.home()), _KINDS)
            if path and chosen == "file":
                self._file = path
                self.choice.setItemText(index, f"{Path(path).name}…")
            elif path:
                self._load(Path(path))
            elif (chosen == "file" and not self._file) or (chosen != "file" and self.model is None):
                self.choice.setCurrentIndex(0)
        self._show()
        if chosen == "imagenet":
            weights = describe_weights(self._network, self._network_settings)
            self.said.emit(
                f"{weights.name}: {weights.megabytes:.1f} MB, on the terms that are shown above."
            )

    def _load(self, path: Path) -> None:
        self._from_file = None
        self.note.setText(f"Opening {path.name}…")
        self._slot.start(
            lambda stop: _load_steps(path, stop), description=f"Opening {path.name}",
            on_progress=lambda _events: None, on_done=lambda result: self._loaded(path, result),
        )  # fmt: skip

    def _loaded(self, path: Path, result: JobResult) -> None:
        self._from_file = result.value
        self._model_name, self._file_path = path.name, path
        place = self.choice.findData("model_file")
        if result.value is not None:
            self.choice.setItemText(place, f"{path.name}…")
        elif self.choice.currentData() == "model_file":
            self.choice.setCurrentIndex(0)
            self.said.emit(result.error_text)
        self._show()


def _load_steps(path: Path, _stop: threading.Event) -> Generator[Progress, None, Model]:
    from napari_convnet.model_file import load_model

    yield Progress(done=0, total=0, text=f"opening {path.name}")
    return load_model(path)
