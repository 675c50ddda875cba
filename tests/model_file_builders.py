"""Small models, and files taken apart, changed and put together again with a hash that fits."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import safetensors.torch
import torch

from napari_convnet.model_file import ClassCard, Model, ModelCard, NormalisationCard, make_sample
from napari_convnet.model_file.tensor_file import file_bytes
from napari_convnet.networks import NETWORKS, build_network
from napari_convnet.networks.network_settings import STARTER_GRAPH

_SMALL = {
    "convnet": {"width": 4, "blocks": 1},
    "unet": {"width": 4, "levels": 1},
    "cifar_resnet": {"width": 4, "blocks": 1},
    "custom": {"graph": STARTER_GRAPH},
}


def small_card(network: str = "convnet", **changes: Any) -> ModelCard:
    """Return a card with two channels, three classes and the network's smallest settings."""
    entry = NETWORKS[network]
    fields: dict[str, Any] = {
        "name": "cells",
        "task": entry.task,
        "network": network,
        "network_settings": _SMALL.get(network, {}),
        "channels": ("DAPI", "GFP"),
        "classes": (
            ClassCard(name="background", colour="#0072b2", is_background=True),
            ClassCard(name="mitosis", colour="#e69f00"),
            ClassCard(name="漢字 < 5 µm", colour="#009e73"),
        ),
        # A batch norm needs more than one value, so at 1 x 1 pixels it could not be trained.
        "input_size": (max(entry.smallest_size, 2), entry.smallest_size + 3),
        "patch_size": 40,
        "normalisation": NormalisationCard(
            mode="training_set", mean=(1.5, 200.25), std=(0.5, 1e-12)
        ),
        "pixel_size": (0.108, 0.108),
        "units": ("µm", "µm"),
        "training": {"epochs": 3, "augment": True, "learning_rate": 2e-3, "note": None},
        "scores": {"accuracy": 0.91, "per class": {"mitosis": [0.8, 0.9]}},
        "versions": {"napari-convnet": "0.1.0"},
        "created": "2026-11-20T12:57:00+00:00",
    }
    return ModelCard(**{**fields, **changes})


def small_model(network: str = "convnet", **changes: Any) -> Model:
    """Return a model with random weights and batch norms that have seen data."""
    card = small_card(network, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_network(
            card.network,
            len(card.channels),
            len(card.classes),
            card.input_size,
            **card.network_settings,
        )
        module.train()
        for _ in range(2):
            module(torch.randn(2, len(card.channels), *card.input_size))
    return Model(card, module.eval(), make_sample(card))


def take_apart(data: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return tensors and card of a model file, read by the safetensors library."""
    tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load(data).items()}
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    return tensors, json.loads(header["__metadata__"]["napari_convnet"])


def put_together(tensors: dict[str, torch.Tensor], card: Any) -> bytes:
    """Return a model file with these contents and a fitting sha256; ``card`` may be raw text."""
    text = card if isinstance(card, str) else json.dumps(card)
    return file_bytes(tensors, {"napari_convnet": text})


def raw_file(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file whose header says whatever it is told to say."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def outputs(model: Model) -> np.ndarray:
    """Return the logits for one fixed batch; of images of another size than the sample's to segment."""
    size = (50, 47) if model.card.task == "segment" else model.card.input_size
    images = torch.randn(
        (2, len(model.card.channels), *size), generator=torch.Generator().manual_seed(1)
    )
    with torch.inference_mode():
        return model.network(images).numpy()
