"""Samples: from annotations to training sets with an honest split."""

from napari_convnet.samples.annotated_pixels import AnnotatedPixels
from napari_convnet.samples.annotated_positions import AnnotatedPositions
from napari_convnet.samples.areas import images_held_out
from napari_convnet.samples.augmentation import AugmentationSettings, augmented_samples
from napari_convnet.samples.classification import AnnotatedObjects, ClassificationSet
from napari_convnet.samples.films import Film
from napari_convnet.samples.folder_split import split_class_folder, split_two_folders
from napari_convnet.samples.folds import choose_folds
from napari_convnet.samples.heat_maps import HeatMapSet
from napari_convnet.samples.held_out import held_out_sha256
from napari_convnet.samples.image_files import ImageFiles, read_image_files
from napari_convnet.samples.instances import painted_objects
from napari_convnet.samples.patches import resize_patch, resize_patches
from napari_convnet.samples.positions import AnnotatedFrames, PositionSet
from napari_convnet.samples.segmentation import SegmentationSet
from napari_convnet.samples.split import (
    Split,
    split_by_group,
    split_by_sample,
    split_given,
)
from napari_convnet.samples.stacks import AnnotatedStack, StackSet
from napari_convnet.samples.whole_objects import WholeObjectSet
from napari_convnet.seams import instance_classes

#: What `napari_convnet.train` takes.
TrainingSet = ClassificationSet | SegmentationSet | PositionSet | HeatMapSet

__all__ = [
    "AnnotatedFrames",
    "AnnotatedObjects",
    "AnnotatedPixels",
    "AnnotatedPositions",
    "AnnotatedStack",
    "AugmentationSettings",
    "ClassificationSet",
    "Film",
    "HeatMapSet",
    "ImageFiles",
    "PositionSet",
    "SegmentationSet",
    "Split",
    "StackSet",
    "TrainingSet",
    "WholeObjectSet",
    "augmented_samples",
    "choose_folds",
    "held_out_sha256",
    "images_held_out",
    "instance_classes",
    "painted_objects",
    "read_image_files",
    "resize_patch",
    "resize_patches",
    "split_by_group",
    "split_by_sample",
    "split_class_folder",
    "split_given",
    "split_two_folders",
]
