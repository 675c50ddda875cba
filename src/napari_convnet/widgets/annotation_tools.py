"""What the annotation tools have in common: a layer of ours and keys on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Layer
from napari.types import LayerDataTuple

from napari_convnet.errors import UserError
from napari_convnet.widgets.layers import Kind, find_layer
from napari_convnet.widgets.messages import guarded
from napari_convnet.widgets.open_image import OpenImage
from napari_convnet.widgets.preferences import read_preferences
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.status_guard import answer_while_changing

_N_KEYS = 9


class AnnotationTool:
    """A way to annotate one open image.

    Parameters
    ----------
    session
        Where classes, project and viewer are.
    image
        The image that is annotated.
    """

    kind: Kind
    title: str

    def __init__(self, session: Session, image: OpenImage) -> None:
        self.session = session
        self.image = image
        self._layer: Layer | None = None
        self._is_refusal_said = False

    # What each tool provides --------------------------------------------------------------------

    def make_layer(self) -> Layer:
        """Add the layer that shows the annotations, filled from the project."""
        raise NotImplementedError

    def activate(self) -> None:
        """Bring the layer's mode into shape."""

    def show_classes(self) -> None:
        """Show the session's classes and the current one."""

    def save(self) -> None:
        """Write what is not in the project yet; most tools write at once."""

    def reading(self) -> Callable[[], Any] | None:
        """Return a function that reads in any thread what the layer shows, for `show_found`; None if none can."""
        return None

    def show_found(self, found: Any) -> bool:
        """Show what `reading` returned in the layer that there is; return False when that cannot be."""
        return False

    def pause(self, is_paused: bool) -> None:
        """Let napari's own tools change nothing for a while, or let them again."""

    def clear_under_mouse(self) -> None:
        """Take away what is annotated under the mouse; strokes are erased with napari's eraser."""

    # Common -----------------------------------------------------------------------------------

    @property
    def source_id(self) -> str:
        """What the layer's mark says it belongs to."""
        return self.image.source.labels_id or self.image.source.image_ids[0]

    @property
    def layer(self) -> Layer:
        """The tool's layer; made again from the project when a person deleted it."""
        if self._layer is None or self._layer not in self.session.viewer.layers:
            self._layer = self.make_layer()
            self._bind(self._layer)
        return self._layer

    @property
    def is_shown(self) -> bool:
        """Whether the tool has its layer in the viewer."""
        return self._layer is not None and self._layer in self.session.viewer.layers

    @property
    def is_selected(self) -> bool:
        """Whether clicks and keys reach the tool's layer now."""
        return (
            self._layer is not None and self.session.viewer.layers.selection.active is self._layer
        )

    def raise_layer(self) -> None:
        """Bring the tool's layer to the top and select it, as a result that came may lie over it."""
        layers = self.session.viewer.layers
        if self._layer is not None and self._layer in layers:
            layers.move(layers.index(self._layer), len(layers))
            layers.selection.active = self._layer

    def discard_layer(self) -> None:
        """Remove the tool's layer; the project keeps the annotations."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self.session.viewer.layers:
            layer.locked = False  # a layer of ours that goes with its project
            self.session.viewer.layers.remove(layer)

    def add_layer(self, data: LayerDataTuple) -> Layer:
        """Add a layer for this tool in place of one that is left from before."""
        left_over = find_layer(self.session.viewer, self.kind, self.source_id)
        if left_over is not None:
            left_over.locked = False
            self.session.viewer.layers.remove(left_over)
        array, arguments, layer_type = data
        layer = getattr(self.session.viewer, f"add_{layer_type}")(array, **arguments)
        answer_while_changing(layer)
        return layer

    def start(self) -> None:
        """Select the tool's layer, so that keys and clicks reach it."""
        layer = self.layer
        self.activate()
        self.show_classes()
        self.session.viewer.layers.selection.active = layer

    def _bind(self, layer: Layer) -> None:
        modifier = read_preferences().class_modifier
        for number in range(1, _N_KEYS + 1):
            layer.bind_key(f"{modifier}-{number}", _choose(self.session, number), overwrite=True)
        for key in ("Delete", "Backspace"):
            layer.bind_key(key, lambda _layer: guarded(self.clear_under_mouse), overwrite=True)
        layer.bind_key("N", lambda _layer: self.session.do("next_to_label"), overwrite=True)
        layer.bind_key("F1", lambda _layer: self.session.do("show_keys"), overwrite=True)
        layer.bind_key("Control-Z", lambda _layer: self.session.undo(), overwrite=True)
        layer.bind_key("Control-Shift-Z", lambda _layer: self.session.redo(), overwrite=True)

    def may_annotate(self) -> bool:
        """Return whether an annotation can be made; why not is said by the error, for a whole project once.

        Raises
        ------
        UserError
            CN-316 while a long edit is carried out, CN-305 for a project that is open for reading only, CN-403 for a
            layer that its owner locked.
        """
        self.session.history.refuse_while_busy()
        project = self.session.ensure_project()
        if project.read_only:
            if self._is_refusal_said:
                return False
            self._is_refusal_said = True
            raise UserError(
                "CN-305",
                f"Not annotated: '{project.path.name}' is open for reading only ({project.read_only_reason}). "
                "Save a copy (Project > Save a copy) and open that.",
            )
        if self.layer.locked:
            raise UserError(
                "CN-403",
                f"Layer '{self.layer.name}' is locked, so nothing was annotated. Unlock it in the layer list.",
            )
        return True


def _choose(session: Session, number: int) -> Callable[[Layer], None]:
    def choose(_layer: Layer) -> None:
        session.set_current_class(number)

    choose.__doc__ = f"Choose class {number}."
    return choose
