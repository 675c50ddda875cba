"""Samples: from annotations to training sets with an honest split."""

from napari_convnet.samples.areas import images_held_out
from napari_convnet.samples.augmentation import AugmentationSettings, augmented_samples
from napari_convnet.samples.classification import AnnotatedObjects, ClassificationSet
from napari_convnet.samples.instances import instance_classes
from napari_convnet.samples.patches import resize_patch, resize_patches
from napari_convnet.samples.segmentation import AnnotatedPixels, SegmentationSet
from napari_convnet.samples.split import (
    Split,
    split_by_group,
    split_by_sample,
    split_given,
)

#: What `napari_convnet.train` takes.
TrainingSet = ClassificationSet | SegmentationSet

__all__ = [
    "AnnotatedObjects",
    "AnnotatedPixels",
    "AugmentationSettings",
    "ClassificationSet",
    "SegmentationSet",
    "Split",
    "TrainingSet",
    "augmented_samples",
    "images_held_out",
    "instance_classes",
    "resize_patch",
    "resize_patches",
    "split_by_group",
    "split_by_sample",
    "split_given",
]
