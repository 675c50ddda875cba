"""Objects of the mask that is shown, formed again whenever a control changes: no new prediction."""

from __future__ import annotations

from functools import partial

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_convnet.errors import UserError
from napari_convnet.widgets.background import JobResult
from napari_convnet.widgets.job_slot import JobSlot
from napari_convnet.widgets.layers import find_layer, image_data, layer_id, mark_of
from napari_convnet.widgets.objects_form import ObjectsForm
from napari_convnet.widgets.objects_job import ClassMask, options_for, separation_steps
from napari_convnet.widgets.position_layers import refuse_locked
from napari_convnet.widgets.prediction_layers import kept_depth, show_objects, shown_settings
from napari_convnet.widgets.prediction_result import Prediction
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import PlaneArrays, Source, copy_plane, find_by_id

_DELAY_MILLISECONDS = 150


class ObjectsPanel(ObjectsForm):
    """The folded controls and their job; ``made`` carries the new objects and what they were formed from.

    Parameters
    ----------
    dock
        Whose jobs these are: they stop when it is closed.
    session
        Its chosen image's mask is what objects are formed from.
    """

    made = Signal(object, object)

    def __init__(self, dock: QWidget, session: Session) -> None:
        super().__init__()
        self._session = session
        self.slot = JobSlot(dock)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MILLISECONDS)
        self._timer.timeout.connect(self._start)
        self.changed.connect(self._timer.start)
        session.source_changed.connect(self.show_source)
        self.show_source()

    def show_source(self) -> None:
        """Show how the objects of the chosen image were formed, if there are any."""
        image = self._image()
        if image is not None and find_layer(
            self._session.viewer, "predicted-objects", layer_id(image)
        ):
            self.set_value(shown_settings(self._session.viewer, image))

    @property
    def can_stop(self) -> bool:
        """Whether objects are formed, or will be as soon as the outdated job is over."""
        return self.slot.state == "running" or self.slot.is_outdated

    def stop(self) -> None:
        """Form no objects; those that are shown stay."""
        self._timer.stop()
        self.slot.request_stop()
        self.say("")

    def _image(self) -> Image | None:
        ids = self._session.source.image_ids
        return find_by_id(self._session.viewer, ids[0]) if ids else None

    def _start(self) -> None:
        if not self.slot.make_way():
            return
        try:
            self._begin()
        except UserError as error:
            self.say(error.message)

    def _begin(self) -> None:
        viewer, image = self._session.viewer, self._image()
        mask = find_layer(viewer, "predicted-mask", layer_id(image)) if image is not None else None
        if mask is None:
            self.say("Used by the next prediction of a model that segments.")
            return
        refuse_locked([find_layer(viewer, "predicted-objects", layer_id(image))])
        source = Source(self._session.source.image_ids)
        arrays = copy_plane(viewer, source, keeps_lazy=True)
        if mark_of(mask).get("file") or mark_of(mask).get("is_stack"):
            what = "is in a file" if mark_of(mask).get("file") else "was made of all planes"
            raise UserError(
                "CN-408",
                f"Mask '{mask.name}' {what}, so its objects are formed while it is predicted. They stay as they are; "
                "these settings are used by the next prediction.",
            )
        if mask.data.shape != image_data(image).array.shape[: image.ndim]:
            raise UserError(
                "CN-401",
                f"Mask '{mask.name}' has other pixels than '{image.name}' has now. Nothing was changed. Predict again.",
            )
        mark = mark_of(mask)
        plane = np.array(mask.data[arrays.plane])
        depth = kept_depth(mask, arrays.plane)
        classes = ClassMask(plane, tuple(mark["classes"]), mark["background"], depth)
        options = options_for(image, self.value())
        self.slot.start(
            lambda stop: separation_steps(classes, arrays, options, stop),
            description="Separating objects",
            on_progress=lambda events: self.say(events[-1].text.capitalize() + "…"),
            on_done=partial(self._on_done, source, arrays, str(mark.get("model", ""))),
            give_way=False,
        )

    def _on_done(
        self, source: Source, arrays: PlaneArrays, model_name: str, result: JobResult
    ) -> None:
        if self.slot.is_outdated:
            self._timer.start()
            return
        found: Prediction | None = result.value
        if found is None:
            self.say(result.error_text or "Stopped; the objects are as they were.")
            return
        try:
            self._show_found(source, arrays, model_name, found)
        except UserError as error:
            self.say(error.message)

    def _show_found(
        self, source: Source, arrays: PlaneArrays, model_name: str, found: Prediction
    ) -> None:
        layers = self._session.viewer.layers
        image = find_by_id(self._session.viewer, source.image_ids[0])
        if image is None or image_data(image).array.shape[: image.ndim][-2:] != arrays.shape:
            self.say("")
            return
        active = layers.selection.active
        show_objects(self._session, image, arrays.plane, found, {"model": model_name})
        tool = self._session.active_tool
        if tool is not None:
            tool.raise_layer()
        if active in layers:
            layers.selection.active = active
        self.say("")
        self.made.emit(found, source)
