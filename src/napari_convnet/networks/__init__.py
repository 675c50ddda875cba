"""Networks: what can be trained. Open `catalogue` first; it and the layer graphs need no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_convnet.networks.backbones import count_parameters
    from napari_convnet.networks.catalogue import (
        NETWORKS,
        build_network,
        network_entry,
        networks_for,
    )
    from napari_convnet.networks.downloads import (
        DownloadableWeights,
        describe_weights,
        fetch_weights,
    )
    from napari_convnet.networks.entry import NetworkEntry, Task
    from napari_convnet.networks.graph import GraphBuilder, Layer, LayerGraph
    from napari_convnet.networks.graph_json import graph_from_json, graph_to_json
    from napari_convnet.networks.graph_network import GraphNetwork
    from napari_convnet.networks.imagenet import build_imagenet_classifier, imagenet_classes
    from napari_convnet.networks.starter import (
        STARTER_HEAD,
        begin_head,
        describe_starter_weights,
        has_starter_weights,
        read_starter_weights,
        starter_card,
        starter_sha256,
    )
    from napari_convnet.networks.transfer import (
        backbone_blocks,
        freeze,
        freeze_all_but_head,
        learning_batch_norms,
        parameter_groups,
        set_training_mode,
    )
    from napari_convnet.networks.weights import adapt_weights, download_weights

_HOME_OF = {
    "DownloadableWeights": "downloads",
    "GraphBuilder": "graph",
    "GraphNetwork": "graph_network",
    "Layer": "graph",
    "LayerGraph": "graph",
    "NETWORKS": "catalogue",
    "NetworkEntry": "entry",
    "STARTER_HEAD": "starter",
    "Task": "entry",
    "adapt_weights": "weights",
    "backbone_blocks": "transfer",
    "begin_head": "starter",
    "build_imagenet_classifier": "imagenet",
    "build_network": "catalogue",
    "count_parameters": "backbones",
    "describe_starter_weights": "starter",
    "describe_weights": "downloads",
    "download_weights": "weights",
    "fetch_weights": "downloads",
    "freeze": "transfer",
    "freeze_all_but_head": "transfer",
    "graph_from_json": "graph_json",
    "graph_to_json": "graph_json",
    "has_starter_weights": "starter",
    "imagenet_classes": "imagenet",
    "learning_batch_norms": "transfer",
    "network_entry": "catalogue",
    "networks_for": "catalogue",
    "parameter_groups": "transfer",
    "read_starter_weights": "starter",
    "set_training_mode": "transfer",
    "starter_card": "starter",
    "starter_sha256": "starter",
}

__all__ = [
    "NETWORKS",
    "STARTER_HEAD",
    "DownloadableWeights",
    "GraphBuilder",
    "GraphNetwork",
    "Layer",
    "LayerGraph",
    "NetworkEntry",
    "Task",
    "adapt_weights",
    "backbone_blocks",
    "begin_head",
    "build_imagenet_classifier",
    "build_network",
    "count_parameters",
    "describe_starter_weights",
    "describe_weights",
    "download_weights",
    "fetch_weights",
    "freeze",
    "freeze_all_but_head",
    "graph_from_json",
    "graph_to_json",
    "has_starter_weights",
    "imagenet_classes",
    "learning_batch_norms",
    "network_entry",
    "networks_for",
    "parameter_groups",
    "read_starter_weights",
    "set_training_mode",
    "starter_card",
    "starter_sha256",
]


def __getattr__(name: str) -> Any:
    """Import a name from its module when it is first asked for, so that the catalogue costs no torch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
