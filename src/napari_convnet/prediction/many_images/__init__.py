"""A model applied to many image files, one after the other, into a folder where it goes on after a stop."""

from napari_convnet.prediction.many_images.applying import (
    AppliedToImages,
    ImagesApplied,
    apply_to_images,
    check_options,
)
from napari_convnet.prediction.many_images.looking import AppliedResult, read_result
from napari_convnet.prediction.many_images.results import ApplyOptions
from napari_convnet.prediction.many_images.sources import Source, list_sources, open_source
from napari_convnet.prediction.many_images.tables import SUMMARY_FILE, AppliedImage

__all__ = [
    "SUMMARY_FILE",
    "AppliedImage",
    "AppliedResult",
    "AppliedToImages",
    "ApplyOptions",
    "ImagesApplied",
    "Source",
    "apply_to_images",
    "check_options",
    "list_sources",
    "open_source",
    "read_result",
]
