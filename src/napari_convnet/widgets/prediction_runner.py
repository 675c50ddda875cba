"""Runs a prediction for a dock: copies the pixels, starts the job, lays the result over the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_convnet.classes import ClassInfo
from napari_convnet.errors import UserError
from napari_convnet.networks import network_entry
from napari_convnet.progress import Progress
from napari_convnet.settings import ObjectSettings
from napari_convnet.widgets.axes import file_of, known_axes
from napari_convnet.widgets.background import JobResult, MakeSteps
from napari_convnet.widgets.growing_mask import GrowingMask, view_centre
from napari_convnet.widgets.image_notes import new_notes
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.layers import layer_id
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.objects_job import options_for
from napari_convnet.widgets.planes import Planes, planes_of
from napari_convnet.widgets.prediction_job import PredictionSettings, plane_steps, prediction_steps
from napari_convnet.widgets.prediction_layers import show_prediction, shown_settings
from napari_convnet.widgets.prediction_result import Prediction, describe_prediction
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.project_names import result_path
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import PlaneArrays, Source, copy_plane, source_layers
from napari_convnet.widgets.stack_prediction import stack_steps


class PredictionRunner(QObject):
    """One prediction at a time with the session's model on the session's image."""

    progressed = Signal(object)
    said = Signal(str)
    changed = Signal()
    shown = Signal(object)

    def __init__(self, dock: QWidget, session: Session) -> None:
        super().__init__(dock)
        self._session = session
        self._slot = JobSlot(dock)
        #: How a mask becomes objects; None: as the objects that are shown, or else the default.
        self.object_settings: ObjectSettings | None = None
        #: Whether all planes of a stack are segmented, and not the one shown only.
        self.takes_all_planes = False
        self._growing: GrowingMask | None = None
        self._slot.changed.connect(self.changed)

    @property
    def state(self) -> str:
        """``"idle"``, ``"running"`` or ``"stopping"``."""
        return self._slot.state

    def stop(self) -> None:
        """Stop after this tile and keep what is done."""
        self._slot.request_stop()

    def start(self, after: str = "") -> None:
        """Predict; ``after`` is a text that the result's line goes below."""
        if self._slot.state == "idle":
            guarded(lambda: self._start(after))

    def _start(self, after: str) -> None:
        model, source = self._session.model, self._session.source
        if model is None:
            raise UserError("CN-405", "There is no model yet. Train one, or load one from a file.")
        viewer, settings = self._session.viewer, self._settings_for(model)
        if model.card.task != "classify":
            source = Source(source.image_ids)
        if model.card.task == "locate":  # one position a frame: a film's axis of time is its first
            n_axes = 1 if model.card.locate.mode == "patch" else None
            self._run_planes(planes_of(viewer, source, n_axes), source, model, after)
            return
        arrays = copy_plane(viewer, source, keeps_lazy=True)
        centres = self._patch_centres(source, arrays)
        takes_whole = model.card.task == "classify" and model.card.patch_size is None
        if takes_whole and arrays.labels is None and not len(centres):
            self._run_planes(planes_of(viewer, source), source, model, after)
            return
        image = source_layers(viewer, source)[0][0]
        objects = self.object_settings or shown_settings(viewer, image)
        options = options_for(image, objects)
        if model.card.task == "segment":
            self._grow(image, arrays.plane, model)
            settings = replace(
                settings,
                centre=view_centre(viewer, image),
                result_path=self._result_path(image, arrays.plane),
            )
            sees_depth = network_entry(model.card.network).dimensions == 3
            if (self.takes_all_planes or sees_depth) and image.ndim > 2:
                self._run_stack(planes_of(viewer, source), image, source, model, options, after)
                return
        self._run(
            lambda stop: prediction_steps(model, arrays, centres, settings, options, stop),
            lambda result: self._on_done(result, source, arrays, model, after),
        )

    def _grow(self, image: Image, plane: tuple[int, ...], model) -> None:
        classes = tuple(ClassInfo(entry.name, entry.colour) for entry in model.card.classes)
        self._growing = GrowingMask(self._session.viewer, image, plane, classes)

    def _result_path(self, image: Image, plane: tuple[int, ...]) -> Path:
        project = self._session.project
        folder = read_preferences().project_folder
        identity = file_of(image) or layer_id(image)
        return result_path(project.path if project else None, folder, image.name, identity, plane)

    def _run_stack(self, planes, image: Image, source: Source, model, options, after: str) -> None:
        letters = known_axes(image)[: image.ndim - 2]
        depth = letters.index("z") if "z" in letters else None
        device = read_preferences().device
        self._run(
            lambda stop: stack_steps(model, planes, depth, device, options, stop),
            lambda result: self._on_done(result, source, None, model, after),
        )

    def _settings_for(self, model) -> PredictionSettings:
        is_mean = self._session.averages_orientations and model.card.task == "classify"
        return PredictionSettings(read_preferences().device, 8 if is_mean else 1)

    def _run_planes(self, planes: Planes, source: Source, model, after: str) -> None:
        settings = self._settings_for(model)
        self._run(
            lambda stop: plane_steps(model, planes, settings, stop),
            lambda result: self._on_done(result, source, None, model, after),
        )

    def _run(self, steps: MakeSteps, on_done: Callable[[JobResult], None]) -> None:
        self._slot.start(
            steps, description="Predicting", on_progress=self._on_progress, on_done=on_done
        )

    def _patch_centres(self, source: Source, arrays: PlaneArrays) -> np.ndarray:
        image = self._session.open_images.get(source)
        if arrays.labels is not None or image is None or self._session.project is None:
            return np.empty((0, 2))
        patches = self._session.project.patches(image.image_id)
        return np.array([p.centre for p in patches if p.plane == arrays.plane]).reshape(-1, 2)

    def _on_progress(self, events: tuple[Progress, ...]) -> None:
        if self._growing is not None:
            self._growing.take(events)
        self.progressed.emit(events[-1])

    def _on_done(
        self, result: JobResult, source: Source, arrays: PlaneArrays | None, model, after: str
    ) -> None:
        growing, self._growing = self._growing, None
        if growing is not None:
            growing.remove()
        if result.outcome == "failed":
            self.said.emit(result.error_text)
            show_warning(result.error_text)
            return
        found: Prediction | None = result.value
        if found is None:
            self.said.emit("Stopped; nothing was changed.")
            return
        if guarded(lambda: self._show(source, arrays, model, found)):
            lines = (after, describe_prediction(model, found), found.problem)
            notes = new_notes(self._session, found.notes)
            self.said.emit("\n".join(filter(None, (*lines, *notes))))
            if found.problem:
                show_warning(found.problem)
            self._session.set_prediction(
                found, source, "\n".join(filter(None, (*lines[1:], *notes)))
            )
            self.shown.emit(found)

    def _show(self, source: Source, arrays: PlaneArrays | None, model, found: Prediction) -> bool:
        layers = self._session.viewer.layers
        active = layers.selection.active
        show_prediction(self._session, source, arrays, model, found)
        # The person goes on annotating: the new layers must neither cover nor replace the tool's.
        tool = self._session.active_tool
        if tool is not None:
            tool.raise_layer()
        if active in layers:
            layers.selection.active = active
        return True
