"""What is open in the viewer and can be imported or exported: label layers, pixels, what was predicted."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Labels

from napari_convnet.errors import UserError
from napari_convnet.exchange import Pixels, PredictedObjects
from napari_convnet.widgets.layers import image_data, mark_of
from napari_convnet.widgets.session import Session
from napari_convnet.widgets.source import find_by_id, source_layers


def label_layers(viewer: ViewerModel) -> list[Labels]:
    """Return the label layers that are the person's, or hold objects that were found."""
    return [
        layer for layer in viewer.layers
        if isinstance(layer, Labels) and mark_of(layer).get("kind") in (None, "predicted-objects")
    ]  # fmt: skip


def open_pixels(session: Session) -> Pixels:
    """Return the arrays of the images and label images that are open in the viewer."""
    arrays, labels = {}, {}
    for source, opened in session.open_images.items():
        try:
            images, cells = source_layers(session.viewer, source)
        except UserError:  # its layers were removed; its file may still be there
            continue
        arrays[opened.image_id] = image_data(images[0]).array
        if cells is not None:
            labels[opened.image_id, opened.labels_name] = image_data(cells).array
    return Pixels(arrays, labels)


def shown_predictions(session: Session) -> tuple[PredictedObjects, ...]:
    """Return what *Predict* wrote into the tables of the label layers that are open."""
    found = []
    for source, opened in session.open_images.items():
        cells = find_by_id(session.viewer, source.labels_id) if source.labels_id else None
        table = getattr(cells, "features", None)
        if table is None or not {"index", "class", "probability"} <= set(table.columns):
            continue
        known = table.dropna(subset=["class", "probability"])
        labels = [int(label) for label in known["index"]]
        classes = dict(zip(labels, map(str, known["class"]), strict=True))
        shares = dict(zip(labels, map(float, known["probability"]), strict=True))
        prediction = PredictedObjects(
            opened.image_id, opened.labels_name, classes, {"probability": shares}
        )
        found.append(prediction)
    return tuple(found)
