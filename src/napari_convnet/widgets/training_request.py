"""From what the Train dock shows to the request that its training starts with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from napari_convnet.errors import UserError
from napari_convnet.networks import network_entry
from napari_convnet.widgets.folder_job import FolderRequest
from napari_convnet.widgets.folder_panel import FolderPanel
from napari_convnet.widgets.live_source import LiveDesk
from napari_convnet.widgets.network_form import NetworkForm
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.stack_training import PaintedStack, collect_stacks
from napari_convnet.widgets.training_data import AnnotatedPlane, collect_planes
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
        planes = collect_planes(session)
        return TrainingRequest(
            task=session.task, planes=planes, stacks=_stacks(session, form, planes), classes=session.classes,
            patch_size=form.patch_size.value(), name=f"{session.task} {_now()}",
            mode=mode, **_common(form),
        )  # fmt: skip
    return FolderRequest(
        folder=folder, together=folder_panel.together.text().strip(), input_size=form.patch_size.value(),
        skips_broken=folder_panel.skip_broken.isChecked(),
        name=f"{folder.root.name[:40]} {_now()}", **_common(form),
    )  # fmt: skip


def _stacks(
    session: Session, form: NetworkForm, planes: Sequence[AnnotatedPlane]
) -> tuple[PaintedStack, ...]:
    """Return the stacks of painted planes for a network that learns from stacks; none for another one."""
    if network_entry(form.network.network_id).dimensions == 2:
        return ()
    return collect_stacks(session, planes)


def live_request(
    session: Session, form: NetworkForm, desk: LiveDesk, channels: tuple[str, ...]
) -> TrainingRequest:
    """Return what to train live, on strokes that are still to be painted.

    Raises
    ------
    UserError
        CN-676 for a network that learns from stacks.
    """
    if network_entry(form.network.network_id).dimensions == 3:
        raise UserError(
            "CN-676",
            f"Network '{form.network.network_id}' learns from whole stacks, which takes too long to follow strokes. "
            "Nothing was started. Press Train, or choose 'unet' to train live.",
        )
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
