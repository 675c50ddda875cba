"""The files of torchvision's ImageNet weights: what they are, where they are kept, and how they are fetched.

No torch is needed to say how large a file is or whether it is here already.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_convnet.atomic import write_atomically
from napari_convnet.errors import UserError
from napari_convnet.networks.network_settings import PretrainedUNetSettings
from napari_convnet.progress import Progress

_SITE = "https://download.pytorch.org/models/"
_LICENCE = "torchvision (BSD-3-Clause); trained on ImageNet, whose terms allow research use"
_CHUNK = 1 << 16
#: A server that says nothing for so long is gone.
_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class DownloadableWeights:
    """What a person should know before ImageNet weights are downloaded.

    Parameters
    ----------
    name
        torchvision's.
    megabytes
        Size of the file, in 2**20 bytes.
    source
        Address; the file's name holds the beginning of its SHA-256.
    licence
        In words.
    """

    name: str
    megabytes: float
    source: str
    licence: str = _LICENCE

    @property
    def path(self) -> Path:
        """Where the file is kept, as torch keeps it."""
        return _cache_folder() / self.source.rpartition("/")[2]

    @property
    def is_here(self) -> bool:
        """Whether the file is kept already."""
        return self.path.is_file()

    @property
    def text(self) -> str:
        """What will be downloaded, how large it is, its licence and where it is kept, in words."""
        if self.is_here:
            return (
                f"{self.name} is on this computer already ({self.path}); licence: {self.licence}."
            )
        return (
            f"{self.name}, {self.megabytes:.1f} MB, will be downloaded once from {self.source} and kept in "
            f"{self.path.parent}; licence: {self.licence}."
        )


def _entry(name: str, megabytes: float, file: str) -> DownloadableWeights:
    return DownloadableWeights(name, megabytes, _SITE + file)


#: torchvision's default weights by the catalogue's names; a test compares them with torchvision.
WEIGHTS = {
    "alexnet": _entry("AlexNet_Weights.IMAGENET1K_V1", 233.087, "alexnet-owt-7be5be79.pth"),
    "vgg16": _entry("VGG16_Weights.IMAGENET1K_V1", 527.796, "vgg16-397923af.pth"),
    "vgg19": _entry("VGG19_Weights.IMAGENET1K_V1", 548.051, "vgg19-dcbb9e9d.pth"),
    "googlenet": _entry("GoogLeNet_Weights.IMAGENET1K_V1", 49.731, "googlenet-1378be20.pth"),
    "resnet18": _entry("ResNet18_Weights.IMAGENET1K_V1", 44.661, "resnet18-f37072fd.pth"),
    "resnet34": _entry("ResNet34_Weights.IMAGENET1K_V1", 83.275, "resnet34-b627a593.pth"),
    "resnet50": _entry("ResNet50_Weights.IMAGENET1K_V2", 97.79, "resnet50-11ad3fa6.pth"),
    "resnet101": _entry("ResNet101_Weights.IMAGENET1K_V2", 170.53, "resnet101-cd907fc2.pth"),
    "resnet152": _entry("ResNet152_Weights.IMAGENET1K_V2", 230.474, "resnet152-f82ba261.pth"),
    "mobilenet_v2": _entry("MobileNet_V2_Weights.IMAGENET1K_V2", 13.598, "mobilenet_v2-7ebf99e0.pth"),
    "squeezenet1_1": _entry("SqueezeNet1_1_Weights.IMAGENET1K_V1", 4.729, "squeezenet1_1-b8a52dc0.pth"),
}  # fmt: skip


def describe_weights(
    network_id: str, network_settings: Mapping[str, Any] | None = None
) -> DownloadableWeights:
    """Return name, size, licence and place of torchvision's default weights of a backbone.

    Raises
    ------
    UserError
        CN-508 for a network that torchvision has no weights for.
    """
    name = weights_name(network_id, network_settings)
    if name not in WEIGHTS:
        raise UserError(
            "CN-508",
            f"There are no ImageNet weights for '{network_id}'. Nothing was changed. Choose a weights file, "
            f"random weights, or one of {', '.join(WEIGHTS)}.",
        )
    return WEIGHTS[name]


def weights_name(network_id: str, network_settings: Mapping[str, Any] | None = None) -> str:
    """Return the name of the classifier whose weights belong into a network of the catalogue."""
    if network_id == "unet_pretrained":
        return PretrainedUNetSettings(**dict(network_settings or {})).encoder
    return "vgg16" if network_id == "vgg16_frozen" else network_id


def fetch_weights(
    network_id: str,
    network_settings: Mapping[str, Any] | None = None,
    *,
    stop: threading.Event | None = None,
) -> Generator[Progress, None, Path | None]:
    """Download torchvision's default ImageNet weights, unless they are here already.

    A file counts only when all of it is here and its SHA-256 begins as its name says; nothing is left of
    any other.

    Parameters
    ----------
    stop
        Looked at after every 64 kB.

    Yields
    ------
    Progress
        Bytes done and in all.

    Returns
    -------
    pathlib.Path or None
        The file; None if it was told to stop.

    Raises
    ------
    UserError
        CN-110 if they cannot be fetched, with the choices that remain; CN-301 if they cannot be kept.
    """
    weights = describe_weights(network_id, network_settings)
    if weights.is_here and _is_whole(weights, weights.path.read_bytes()):
        return weights.path
    data = bytearray()
    try:
        with urllib.request.urlopen(weights.source, timeout=_TIMEOUT_SECONDS) as stream:
            size = int(stream.headers.get("Content-Length") or 0)
            while chunk := stream.read(_CHUNK):
                data += chunk
                if stop is not None and stop.is_set():
                    return None
                yield Progress(done=len(data), total=size, text=_text(weights, len(data), size))
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise _refusal(weights, f"the server answers {error.code}: {error.reason}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise _refusal(weights, f"{reason}") from error
    if len(data) < size:
        raise _refusal(weights, f"the connection ended after {len(data):,} of {size:,} bytes")
    if not _is_whole(weights, data):
        raise _refusal(weights, "what came is not the file that was announced (its hash differs)")
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(weights.path, bytes(data))
    return weights.path


def _text(weights: DownloadableWeights, done: int, size: int) -> str:
    of = f" of {size / 2**20:.1f}" if size else ""
    return f"downloading {weights.name}: {done / 2**20:.1f}{of} MB"


def _refusal(weights: DownloadableWeights, why: str) -> UserError:
    return UserError(
        "CN-110",
        f"{weights.name} could not be downloaded. Nothing was changed. Check the connection and try again, "
        "choose a weights file (.safetensors), or start from random weights.",
        details=f"{weights.source}: {why}",
    )


def _is_whole(weights: DownloadableWeights, data: bytes | bytearray) -> bool:
    stated = re.search(r"-([0-9a-f]{8,64})\.pth$", weights.source)
    return stated is None or hashlib.sha256(data).hexdigest().startswith(stated[1])


def _cache_folder() -> Path:
    hub = sys.modules.get("torch.hub")
    if hub is not None:
        return Path(hub.get_dir()) / "checkpoints"
    home = os.environ.get("TORCH_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    return Path(os.path.expanduser(home)) / "hub" / "checkpoints"
