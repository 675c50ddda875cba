"""Which parts of a pretrained network learn, and how fast: head, blocks, frozen batch norms, groups of weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from napari_convnet.errors import UserError

_RESNET = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
_VGG16_ENDS, _VGG19_ENDS = (5, 10, 17, 24, 31), (5, 10, 19, 28, 37)


def _numbered(ends: Iterable[int]) -> tuple[tuple[str, ...], ...]:
    """Return blocks of ``features.k``, each up to before its end."""
    blocks, start = [], 0
    for end in ends:
        blocks.append(tuple(f"features.{k}" for k in range(start, end)))
        start = end
    return tuple(blocks)


#: Blocks of layers from the image towards the head, by the names of torchvision's modules:
#: ResNets: stem and four stages; VGGs: five stages between the pools and two linear layers; AlexNet: five
#: convolutions and two linear layers; GoogLeNet: stem and nine inceptions; MobileNetV2: 19; SqueezeNet: stem
#: and eight fire modules.
_BLOCKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "alexnet": (*_numbered((3, 6, 8, 10, 13)), ("classifier.1",), ("classifier.4",)),
    "vgg16": (*_numbered(_VGG16_ENDS), ("classifier.0",), ("classifier.3",)),
    "vgg19": (*_numbered(_VGG19_ENDS), ("classifier.0",), ("classifier.3",)),
    "vgg16_frozen": _numbered(_VGG16_ENDS),
    "googlenet": (
        ("conv1", "conv2", "conv3"),
        *((f"inception{name}",) for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")),
    ),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), _RESNET),
    "mobilenet_v2": tuple((f"features.{k}",) for k in range(19)),
    "squeezenet1_1": tuple((f"features.{k}",) for k in (0, 3, 4, 6, 7, 9, 10, 11, 12)),
}

#: Modules that are made anew for one's own classes.
_HEADS: dict[str, tuple[str, ...]] = {
    "vgg16_frozen": ("head",),
    "squeezenet1_1": ("classifier.1",),
    "mobilenet_v2": ("classifier.1",),
    "unet_pretrained": ("decoder", "head"),
    **dict.fromkeys(("alexnet", "vgg16", "vgg19"), ("classifier.6",)),
    **dict.fromkeys(
        ("googlenet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), ("fc",)
    ),
}


def head_names(network: nn.Module, network_id: str) -> tuple[str, ...]:
    """Return the names of the modules that turn features into logits; by default the last weighty layer."""
    return _HEADS.get(network_id) or (_weighty(network)[-1],)


def backbone_blocks(network: nn.Module, network_id: str) -> tuple[tuple[str, ...], ...]:
    """Return the names of the modules in each block before the head, from the image on.

    Of networks that are not torchvision's, each convolution or linear layer begins a block, and normalisations
    belong to the block before them.
    """
    if network_id in _BLOCKS:
        return _BLOCKS[network_id]
    if network_id == "unet_pretrained":
        blocks_of_encoder = _BLOCKS[str(network.encoder_name)]
        return tuple(tuple(f"encoder.{name}" for name in block) for block in blocks_of_encoder)
    heads = head_names(network, network_id)
    blocks: list[tuple[str, ...]] = []
    weighty = set(_weighty(network))
    for name, module in network.named_modules():
        has_own = next(module.parameters(recurse=False), None) is not None
        if not has_own or any(name == head or name.startswith(f"{head}.") for head in heads):
            continue
        if name in weighty or not blocks:
            blocks.append((name,))
        else:
            blocks[-1] += (name,)
    return tuple(blocks)


def freeze(network: nn.Module, network_id: str, unfreeze_last_blocks: int = 0) -> None:
    """Let the head learn, and so many blocks before it; everything else stays as it is.

    Frozen batch norms keep their statistics, too, if `set_training_mode` switches to training.

    Raises
    ------
    UserError
        CN-533 if the network has not that many blocks.
    """
    blocks = backbone_blocks(network, network_id)
    if not 0 <= unfreeze_last_blocks <= len(blocks):
        raise UserError(
            "CN-533",
            f"{unfreeze_last_blocks} blocks of '{network_id}' were to learn; it has {len(blocks)}. "
            f"Choose 0 to {len(blocks)}.",
        )
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    learning = blocks[len(blocks) - unfreeze_last_blocks :]
    for name in (*head_names(network, network_id), *(name for block in learning for name in block)):
        for parameter in network.get_submodule(name).parameters():
            parameter.requires_grad_(True)


def freeze_all_but_head(network: nn.Module, network_id: str) -> None:
    """Keep everything as it is except the head (batch norms then also keep their statistics)."""
    freeze(network, network_id)


def parameter_groups(
    network: nn.Module, network_id: str, backbone_factor: float = 1.0, bias_factor: float = 1.0
) -> list[dict[str, Any]]:
    """Split what learns into groups with factors of the learning rate.

    Parameters
    ----------
    network, network_id
        A network and its name in the catalogue.
    backbone_factor
        Of everything before the head.
    bias_factor
        Of biases (MATLAB's default is 2), on top of the other.

    Returns
    -------
    list of dict
        ``{"params": [...], "factor": float}`` for a torch optimiser, without empty groups. torch keeps the extra
        key, so that ``group["lr"] = learning_rate * group["factor"]`` can be set at any time.
    """
    head = {
        id(parameter)
        for name in head_names(network, network_id)
        for parameter in network.get_submodule(name).parameters()
    }
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            factor = 1.0 if id(parameter) in head else backbone_factor
            factor *= bias_factor if name.rpartition(".")[2] == "bias" else 1.0
            groups.setdefault(factor, []).append(parameter)
    return [{"params": params, "factor": factor} for factor, params in groups.items()]


def is_frozen(module: nn.Module) -> bool:
    """Return whether a module has parameters and none of them learns."""
    parameters = list(module.parameters(recurse=False))
    return bool(parameters) and not any(p.requires_grad for p in parameters)


def learning_batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the batch norms that are not frozen."""
    return [module for module in _batch_norms(network) if not is_frozen(module)]


def set_training_mode(network: nn.Module) -> None:
    """Switch to training, but leave frozen batch norms with the statistics they came with."""
    network.train()
    for module in _batch_norms(network):
        if is_frozen(module):
            module.eval()


def _batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def _weighty(network: nn.Module) -> list[str]:
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    return [name for name, module in network.named_modules() if isinstance(module, kinds)]
