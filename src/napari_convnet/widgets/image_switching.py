"""From one image of the project to another: its layers come up, those of the others are hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from napari.components import ViewerModel
from napari.errors import MultipleReaderError
from napari.layers import Image, Layer

from napari_convnet.errors import UserError
from napari_convnet.project import ImageRecord
from napari_convnet.widgets.axes import file_of
from napari_convnet.widgets.closed_images import is_there
from napari_convnet.widgets.layers import image_data, layer_id, mark_of
from napari_convnet.widgets.levels import show_level
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import Source

#: The dock's verb that goes on with a tool, by the kind of the tool's layer.
_VERBS = {
    "annotation-objects": "click_cells",
    "annotation-patches": "pick_patches",
    "painting": "paint_strokes",
    "annotation-positions": "mark_positions",
}


def open_file(viewer: ViewerModel, source: str) -> list[Layer]:
    """Open a file with the reader of the person's choice, or napari's own where several could."""
    try:
        return viewer.open(source, plugin=None)
    except MultipleReaderError as error:
        plugins = error.available_plugins
        plugin = "napari" if "napari" in plugins else plugins[0]
        return viewer.open(source, plugin=plugin)


def layers_showing(viewer: ViewerModel, image: ImageRecord, layers: Sequence[Image]) -> list[Image]:
    """Return the layers that show an image of the project, among those of its file.

    A resolution level that was annotated becomes a layer again. A stack whose channels were annotated is returned
    as it is, at that level; it is split when a tool asks for its axes.
    """
    exact = [layer for layer in layers if _shape(layer) == image.shape]
    if exact:
        return exact
    for fits in (_has_shape, _has_channels):
        for layer in layers:
            for number, level in enumerate(layer.data if layer.multiscale else []):
                if fits(tuple(level.shape), image.shape):
                    return show_level(viewer, [layer], number)
    return [layer for layer in layers if _has_channels(_shape(layer), image.shape)] or list(layers)


def _shape(layer: Image) -> tuple[int, ...]:
    return tuple(image_data(layer).array.shape)


def _has_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return shape == wanted


def _has_channels(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Return whether a shape is the wanted one with its axes in another order, or with one more."""
    return not Counter(wanted) - Counter(shape) and len(shape) <= len(wanted) + 1


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
        of_file = self._layers_of_file(image) or self._open_file(image)
        layers = self.layers_of(image) or layers_showing(session.viewer, image, of_file)
        verb = _VERBS.get(session.active_tool.kind, "") if session.active_tool is not None else ""
        source = Source(tuple(layer_id(layer) for layer in layers))
        known = [
            each
            for each, opened in session.open_images.items()
            if opened.image_id == image.id and {*each.image_ids} <= {*source.image_ids}
        ]
        source = max(known, key=lambda each: bool(each.labels_id), default=source)
        self._show_only(source, images)
        session.set_source(source)
        if verb and (verb != "click_cells" or session.source.labels_id):
            session.do(verb)

    def layers_of(self, image: ImageRecord) -> list[Layer]:
        """Return the layers that show an image."""
        ids = self._known_ids(image)
        return [
            layer
            for layer in self._layers_of_file(image)
            if layer_id(layer) in ids or (not ids and _shape(layer) == image.shape)
        ]

    def _known_ids(self, image: ImageRecord) -> set[str]:
        opened = self._session.open_images.items()
        sources = (source for source, each in opened if each.image_id == image.id)
        present = {layer_id(layer) for layer in self._session.viewer.layers}
        return {each for source in sources for each in source.image_ids} & present

    def _layers_of_file(self, image: ImageRecord) -> list[Image]:
        """Return the layers of the file that an image is in, also those that show other levels of it."""
        ids = self._known_ids(image)
        return [
            layer
            for layer in self._session.viewer.layers
            if isinstance(layer, Image)
            and (layer_id(layer) in ids or (image.source and file_of(layer) == image.source))
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
        others = {layer_id(layer) for image in images for layer in self._layers_of_file(image)}
        others |= {opened.labels_id for opened in self._session.open_images} - {""}
        for layer in viewer.layers:
            belongs_to = mark_of(layer).get("source", layer_id(layer))
            if belongs_to in shown:
                layer.visible = True
            elif belongs_to in others:
                layer.visible = False
        viewer.reset_view()
