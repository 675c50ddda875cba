"""The model file: one `.safetensors` file that is safe to open (docs/model_format.md)."""

from napari_convnet.model_file.card import ClassCard, ModelCard, NormalisationCard, check_channels
from napari_convnet.model_file.model import Model, make_sample
from napari_convnet.model_file.reading import load_model, model_from_bytes, read_weights
from napari_convnet.model_file.writing import model_bytes, save_model

__all__ = [
    "ClassCard",
    "Model",
    "ModelCard",
    "NormalisationCard",
    "check_channels",
    "load_model",
    "make_sample",
    "model_bytes",
    "model_from_bytes",
    "read_weights",
    "save_model",
]
