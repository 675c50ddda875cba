"""Folders of images: a folder per class, images paired with label images, and what belongs together."""

from napari_convnet.folders.class_folder import ClassFolder, read_class_folder
from napari_convnet.folders.groups import content_numbers, group_column, group_names
from napari_convnet.folders.inputs import list_inputs
from napari_convnet.folders.pairs import ImagePair, match_labels, pair_images
from napari_convnet.folders.pixel_size import pixel_size_um
from napari_convnet.folders.reading import (
    IMAGE_SUFFIXES,
    list_images,
    read_array,
    read_image,
    read_labels,
    shown_name,
)
from napari_convnet.folders.stacks import read_label_stack, read_stack

__all__ = [
    "IMAGE_SUFFIXES",
    "ClassFolder",
    "ImagePair",
    "content_numbers",
    "group_column",
    "group_names",
    "list_images",
    "list_inputs",
    "match_labels",
    "pair_images",
    "pixel_size_um",
    "read_array",
    "read_class_folder",
    "read_image",
    "read_label_stack",
    "read_labels",
    "read_stack",
    "shown_name",
]
