"""Networks: what can be trained. Open `catalogue` first."""

from napari_convnet.networks.backbones import (
    adapt_weights,
    count_parameters,
    describe_weights,
    download_weights,
    freeze_all_but_head,
    learning_batch_norms,
    set_training_mode,
)
from napari_convnet.networks.catalogue import (
    NETWORKS,
    NetworkEntry,
    build_network,
    network_entry,
)

__all__ = [
    "NETWORKS",
    "NetworkEntry",
    "adapt_weights",
    "build_network",
    "count_parameters",
    "describe_weights",
    "download_weights",
    "freeze_all_but_head",
    "learning_batch_norms",
    "network_entry",
    "set_training_mode",
]
