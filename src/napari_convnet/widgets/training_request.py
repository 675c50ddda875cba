"""From what the Train dock shows to the request that its training starts with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from napari_convnet.widgets.folder_job import FolderRequest
from napari_convnet.widgets.folder_panel import FolderPanel
from napari_convnet.widgets.live_source import LiveDesk
from napari_convnet.widgets.network_form import NetworkForm
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.training_data import collect_planes
from napari_convnet.widgets.training_job import TrainingRequest


def training_request(
    session: Session, form: NetworkForm, folder_panel: FolderPanel, mode: str
) -> TrainingRequest | FolderRequest:
    """Return what to train: a folder's images, or what is annotated.

    Raises
    ------
    UserError
        As `collect_planes`.
    """
    folder = folder_panel.folder
    if folder is None:
        return TrainingRequest(
            task=session.task, planes=collect_planes(session), classes=session.classes,
            patch_size=form.patch_size.value(), name=f"{session.task} {_now()}",
            mode=mode if session.task == "locate" else "", **_common(form),
        )  # fmt: skip
    return FolderRequest(
        folder=folder, together=folder_panel.together.text().strip(), input_size=form.patch_size.value(),
        skips_broken=folder_panel.skip_broken.isChecked(),
        name=f"{folder.root.name[:40]} {_now()}", **_common(form),
    )  # fmt: skip


def live_request(
    session: Session, form: NetworkForm, desk: LiveDesk, channels: tuple[str, ...]
) -> TrainingRequest:
    """Return what to train live, on strokes that are still to be painted."""
    return TrainingRequest(
        task="segment", planes=(), classes=session.classes_of("segment"), live=desk, channels=channels,
        patch_size=form.patch_size.value(), name=f"live {_now()}", **_common(form),
    )  # fmt: skip


def _common(form: NetworkForm) -> dict[str, Any]:
    form.options.set_defaults({"device": read_preferences().device})
    return {
        "network": form.network.network_id, "network_settings": form.network.settings,
        "settings": form.options.settings(), "automatic": form.options.automatic, "pretrained": form.weights,
    }  # fmt: skip


def _now() -> str:
    return f"{datetime.now():%Y-%m-%d %H.%M}"
