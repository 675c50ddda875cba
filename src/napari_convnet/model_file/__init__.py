"""The model file: one `.safetensors` file that is safe to open (docs/model_format.md)."""

from napari_convnet.model_file.card import (
    DEPTH,
    ClassCard,
    LocateCard,
    ModelCard,
    NormalisationCard,
    check_channels,
    format_version_of,
)
from napari_convnet.model_file.model import Model, make_sample
from napari_convnet.model_file.reading import load_model, model_from_bytes, read_weights
from napari_convnet.model_file.writing import model_bytes, save_model

__all__ = [
    "DEPTH",
    "ClassCard",
    "LocateCard",
    "Model",
    "ModelCard",
    "NormalisationCard",
    "check_channels",
    "format_version_of",
    "load_model",
    "make_sample",
    "model_bytes",
    "model_from_bytes",
    "read_weights",
    "save_model",
]
