"""The plugin's page in napari's preferences, read as one value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs
from napari.settings import get_plugin_settings


@dataclass(frozen=True)
class Preferences:
    """What the user chose in *Preferences > ConvNet*.

    Parameters
    ----------
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    predicts_after_training
        Whether a new model is applied to the image at once.
    class_modifier
        Key held with 1 to 9 to choose a class: ``Control`` or ``Alt``.
    project_folder, model_folder
        Where new files are offered to go.
    """

    device: str
    predicts_after_training: bool
    class_modifier: str
    project_folder: Path
    model_folder: Path


def read_preferences() -> Preferences:
    """Return the preferences as they are now; napari fills in the manifest's defaults."""
    settings = get_plugin_settings("napari-convnet")
    own = Path(platformdirs.user_data_dir("napari-convnet", appauthor=False))
    return Preferences(
        device=settings.training.device,
        predicts_after_training=settings.training.predict_after_training,
        class_modifier=settings.keys.class_modifier,
        project_folder=Path(settings.folders.projects or own / "projects"),
        model_folder=Path(settings.folders.models or Path.home()),
    )
