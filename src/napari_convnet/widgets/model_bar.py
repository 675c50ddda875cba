"""The current model in one line, with Save and Load."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_convnet.widgets.controls import push_button, row, text_line
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session

MODEL_FILTER = "ConvNet model (*.safetensors)"
_NAMES_SHOWN = 4


class ModelBar(QWidget):
    """Names the model that would be applied; saves it to a file or loads another."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.text = text_line("Current model")
        self.load_button = push_button(
            "Load model…", "Use a model from a .safetensors file.", self.load
        )
        self.save_button = push_button(
            "Save model…", "Write the model to one .safetensors file.", self.save
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(row(self.load_button, self.save_button))
        session.model_changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        model = self._session.model
        self.save_button.setEnabled(model is not None)
        if model is None:
            self.text.setText("Model: none yet")
            return
        names = [entry.name for entry in model.card.classes]
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        classes = ", ".join(names[:_NAMES_SHOWN]) + more
        self.text.setText(f"Model: {model.card.name} ({model.card.network}; {classes})")
        self.text.setToolTip(", ".join(names))

    def save(self) -> None:
        """Ask where to save the current model."""
        if self._session.model is None:
            return
        name = str(start_folder() / f"{self._session.model.card.name}.safetensors")
        text, _ = QFileDialog.getSaveFileName(self, "Save model", name, MODEL_FILTER)
        if text:
            path = Path(text)
            guarded(lambda: self._save(path if path.suffix else path.with_suffix(".safetensors")))

    def _save(self, path: Path) -> None:
        from napari_convnet.model_file import save_model

        save_model(self._session.model, path)
        self.text.setText(f"Model saved: {path.name}")

    def load(self) -> None:
        """Ask which model to use; one that is refused leaves the current one in place."""
        text, _ = QFileDialog.getOpenFileName(self, "Load model", str(start_folder()), MODEL_FILTER)
        if text:
            guarded(lambda: self._load(Path(text)))

    def _load(self, path: Path) -> None:
        from napari_convnet.model_file import load_model

        self._session.set_model(load_model(path), path)


def start_folder() -> Path:
    """Return the folder in which models are looked for first."""
    folder = read_preferences().model_folder
    return folder if folder.is_dir() else Path.home()
