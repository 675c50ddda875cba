"""The starter weights that come with the package: what the `unet` knows before anyone has painted a stroke.

They were trained by ``starter_weights/make_starter_weights.py`` of the repository; their card is in the file.
Nothing here needs torch but reading the weights themselves.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_convnet.errors import UserError
from napari_convnet.networks.network_settings import UNetSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Name of the card in the file's header.
STARTER_CARD = "starter_weights"
#: Names of the rows "background" and "object" of the last layer, which no network has under these names.
STARTER_HEAD, _HEAD_BIAS = "starter_head.weight", "starter_head.bias"


def starter_path() -> Path:
    """Return the file of the starter weights."""
    folder = importlib.resources.files("napari_convnet.networks")
    return Path(str(folder.joinpath("starter_weights", "unet.safetensors")))


def has_starter_weights(network_id: str, network_settings: Mapping[str, Any] | None = None) -> bool:
    """Return whether starter weights belong into a network: the `unet` of its default size, and the file is here."""
    return (
        network_id == "unet"
        and UNetSettings(**dict(network_settings or {})) == UNetSettings()
        and starter_path().is_file()
    )


def starter_card(path: Path | None = None) -> dict[str, Any]:
    """Return what the starter weights were trained on, and how, as the file tells it.

    Returns
    -------
    dict
        ``"files"`` and ``"simulated"``: what was seen; ``"never_seen"``: what was kept out; ``"licences"``,
        ``"licence"``, ``"steps"``, ``"seed"``, ``"normalisation"`` and more.

    Raises
    ------
    UserError
        CN-643 if the installed package came without the file, or it has no card.
    """
    from safetensors import SafetensorError, safe_open

    path = path or starter_path()
    try:
        with safe_open(path, "numpy") as file:
            return json.loads((file.metadata() or {})[STARTER_CARD])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise _missing(path) from error


def starter_sha256() -> str:
    """Return the SHA-256 of the file; "" without one."""
    path = starter_path()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def read_starter_weights(path: Path | None = None) -> dict[str, Tensor]:
    """Read the starter weights, to be given to `napari_convnet.train` as ``initial_weights``.

    They fit any number of channels and classes: the first convolution is adapted, and the last layer begins with what
    tells objects from background.

    Parameters
    ----------
    path
        Another file that the same script made.

    Returns
    -------
    dict
        float32 tensors by name.

    Raises
    ------
    UserError
        CN-643 if the installed package came without the file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = path or starter_path()
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _missing(path) from error
    return {k: t.float() if t.is_floating_point() else t for k, t in tensors.items()}


def describe_starter_weights() -> str:
    """Return in words what a training begins with."""
    return "Learned from simulated cells and from CC0 images of nuclei; nothing is downloaded."


def begin_head(
    network: nn.Module, weights: Mapping[str, Tensor], n_classes: int, background: int
) -> None:
    """Let a network's last layer begin with what starter weights know: the background, and objects in it.

    Every class but the background begins as "object", all of them together as likely as one. Outputs beyond the
    classes stay as they are, and so does everything if the weights are others.

    Parameters
    ----------
    network
        Changed in place; its last layer is called ``head``.
    weights
        What `read_starter_weights` returned.
    n_classes, background
        Number of classes, and the index of the one that is the background.
    """
    import torch

    if STARTER_HEAD not in weights:
        return
    with torch.no_grad():
        for index in range(n_classes):
            row = 0 if index == background else 1
            network.head.weight[index] = weights[STARTER_HEAD][row]
            network.head.bias[index] = weights[_HEAD_BIAS][row]
            if index != background:
                network.head.bias[index] -= math.log(n_classes - 1)


def _missing(path: Path) -> UserError:
    return UserError(
        "CN-643",
        "The starter weights are missing from this installation, or their file is damaged. Your images and projects "
        "are not affected. Start from random weights, or install napari-convnet again.",
        details=f"Expected the file {path}.",
    )
