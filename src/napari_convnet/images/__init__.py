"""Images: checked, brought into one form, and normalised.

Inside the core an image is ``(C, Y, X)`` float32, whatever came in; the conversion happens here and only once.
"""

from napari_convnet.images.cleaning import (
    CleanImage,
    check_labels,
    clean_image,
    cut_patch,
    join_channels,
    patch_pixels,
    repeat_grey,
)
from napari_convnet.images.lazy_image import LazyImage, sample_spans
from napari_convnet.images.lazy_plane import LazyPlane, UnreadableError, is_lazy
from napari_convnet.images.normalisation import Normalisation, NormalisationMode
from napari_convnet.images.notes import ImageNote, describe_notes

__all__ = [
    "CleanImage",
    "ImageNote",
    "LazyImage",
    "LazyPlane",
    "Normalisation",
    "NormalisationMode",
    "UnreadableError",
    "check_labels",
    "clean_image",
    "cut_patch",
    "describe_notes",
    "is_lazy",
    "join_channels",
    "patch_pixels",
    "repeat_grey",
    "sample_spans",
]
