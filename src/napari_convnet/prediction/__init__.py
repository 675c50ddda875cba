"""Prediction: a model applied to cells, to image files and to whole images, tile by tile.

Every job is a generator of `Progress` that returns its result; `napari_convnet.run` exhausts it.
"""

from napari_convnet.prediction.classification import (
    Classification,
    classify_images,
    classify_objects,
    draw_values,
    object_centres,
)
from napari_convnet.prediction.fitting import check_model_fits, normalisation_of, result_fits
from napari_convnet.prediction.imagenet import load_imagenet_network, name_image
from napari_convnet.prediction.measuring import PixelSize, measure_objects
from napari_convnet.prediction.objects import separate_objects
from napari_convnet.prediction.positions import (
    LocatedFrames,
    LocatedPositions,
    locate_in_frames,
    locate_positions,
)
from napari_convnet.prediction.reading import PredictionInterrupted
from napari_convnet.prediction.segmentation import (
    Segmentation,
    SegmentationBegun,
    segment_image,
)
from napari_convnet.prediction.segmentation_file import SegmentationFile, segment_to_file
from napari_convnet.prediction.stacks import StackSegmentation, segment_stack

__all__ = [
    "Classification",
    "LocatedFrames",
    "LocatedPositions",
    "PixelSize",
    "PredictionInterrupted",
    "Segmentation",
    "SegmentationBegun",
    "SegmentationFile",
    "StackSegmentation",
    "check_model_fits",
    "classify_images",
    "classify_objects",
    "draw_values",
    "load_imagenet_network",
    "locate_in_frames",
    "locate_positions",
    "measure_objects",
    "name_image",
    "normalisation_of",
    "object_centres",
    "result_fits",
    "segment_image",
    "segment_stack",
    "segment_to_file",
    "separate_objects",
]
