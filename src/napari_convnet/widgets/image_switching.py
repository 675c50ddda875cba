"""From one image of the project to another: its layers come up, those of the others are hidden."""

from __future__ import annotations

from collections.abc import Sequence

from napari.components import ViewerModel
from napari.errors import MultipleReaderError
from napari.layers import Image, Layer

from napari_convnet.errors import UserError
from napari_convnet.project import ImageRecord
from napari_convnet.widgets.closed_images import is_there
from napari_convnet.widgets.layers import layer_id, mark_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import Source

#: The dock's verb that goes on with a tool, by the kind of the tool's layer.
_VERBS = {
    "annotation-objects": "click_cells",
    "annotation-patches": "pick_patches",
    "painting": "paint_strokes",
}


def open_file(viewer: ViewerModel, source: str) -> list[Layer]:
    """Open a file with the reader of the person's choice, or napari's own where several could."""
    try:
        return viewer.open(source, plugin=None)
    except MultipleReaderError as error:
        plugins = error.available_plugins
        plugin = "napari" if "napari" in plugins else plugins[0]
        return viewer.open(source, plugin=plugin)


class ImageSwitcher:
    """Opens images of the session's project, each once."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def open(self, image: ImageRecord, images: Sequence[ImageRecord]) -> None:
        """Show one of the project's images and go on working on it with the same tool.

        Parameters
        ----------
        image
            Its layer is taken if it is open, else its file is opened.
        images
            All images of the project, of which the others are hidden.

        Raises
        ------
        UserError
            CN-629 when there is no file to open.
        """
        session = self._session
        layers = self.layers_of(image) or self._open_file(image)
        verb = _VERBS.get(session.active_tool.kind, "") if session.active_tool is not None else ""
        known = [s for s, opened in session.open_images.items() if opened.image_id == image.id]
        source = Source(tuple(layer_id(layer) for layer in layers))
        source = max(known, key=lambda each: bool(each.labels_id), default=source)
        self._show_only(source, images)
        session.set_source(source)
        if verb and (verb != "click_cells" or session.source.labels_id):
            session.do(verb)

    def layers_of(self, image: ImageRecord) -> list[Layer]:
        """Return the layers that show an image."""
        ids = {
            each
            for source, opened in self._session.open_images.items()
            if opened.image_id == image.id
            for each in source.image_ids
        }
        return [
            layer
            for layer in self._session.viewer.layers
            if isinstance(layer, Image)
            and (
                layer_id(layer) in ids or (image.source and str(layer.source.path) == image.source)
            )
        ]

    def _open_file(self, image: ImageRecord) -> list[Layer]:
        if not image.source or not is_there(image):
            where = f"'{image.source[-120:]}' is not there" if image.source else "it has no file"
            raise UserError(
                "CN-629",
                f"'{image.name[:60]}' was not opened: {where}. Its annotations are safe. Use Find missing…, or "
                "open the image in napari; it is recognised by its pixels.",
            )
        opened = open_file(self._session.viewer, image.source)
        return [layer for layer in opened if isinstance(layer, Image)]

    def _show_only(self, source: Source, images: Sequence[ImageRecord]) -> None:
        """Hide the other images with what lies over them, and look at this one."""
        viewer = self._session.viewer
        shown = {*source.image_ids, source.labels_id}
        others = {layer_id(layer) for image in images for layer in self.layers_of(image)}
        others |= {opened.labels_id for opened in self._session.open_images} - {""}
        for layer in viewer.layers:
            belongs_to = mark_of(layer).get("source", layer_id(layer))
            if belongs_to in shown:
                layer.visible = True
            elif belongs_to in others:
                layer.visible = False
        viewer.reset_view()
