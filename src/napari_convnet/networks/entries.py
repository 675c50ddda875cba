"""The catalogue's entries: facts about every network, and how each is built once torch is there."""

from __future__ import annotations

from typing import Any

from napari_convnet.networks import network_settings as of
from napari_convnet.networks.entry import Builder, NetworkEntry, Size, Stated


def _lecture(name: str) -> Builder:
    """Build from a function of `lecture`, which is imported only then, like all builders' modules."""

    def build(channels: int, classes: int, size: Size, settings: Any) -> Any:
        from napari_convnet.networks import lecture
        from napari_convnet.networks.graph_network import GraphNetwork

        return GraphNetwork(getattr(lecture, name)(classes, settings), channels, classes, size)

    return build


def _custom(channels: int, classes: int, size: Size, settings: of.CustomSettings) -> Any:
    from napari_convnet.networks.graph_json import graph_from_json
    from napari_convnet.networks.graph_network import GraphNetwork

    return GraphNetwork(graph_from_json(settings.graph), channels, classes, size)


def _backbone(network_id: str) -> Builder:
    def build(channels: int, classes: int, _size: Size, _settings: of.NoSettings) -> Any:
        from napari_convnet.networks.backbones import build_backbone

        return build_backbone(network_id, channels, classes)

    return build


def _convnet(channels: int, classes: int, _size: Size, settings: of.ConvNetSettings) -> Any:
    from napari_convnet.networks.convnet import ConvNet

    return ConvNet(channels, classes, settings)


def _unet(channels: int, classes: int, _size: Size, settings: of.UNetSettings) -> Any:
    from napari_convnet.networks.unet import UNet

    return UNet(channels, classes, settings)


def _unet3d(channels: int, classes: int, _size: Size, settings: of.UNet3dSettings) -> Any:
    from napari_convnet.networks.unet3d import UNet3d

    return UNet3d(channels, classes, settings)


def _pretrained_unet(channels: int, classes: int, _size: Size, settings: Any) -> Any:
    from napari_convnet.networks.pretrained_unet import PretrainedUNet

    return PretrainedUNet(channels, classes, settings)


def _vgg16_frozen(channels: int, classes: int, size: Size, settings: of.DropoutSettings) -> Any:
    from napari_convnet.networks.backbones import Vgg16Frozen

    return Vgg16Frozen(channels, classes, size, settings)


_RESNET = "He et al. 2016, https://doi.org/10.1109/CVPR.2016.90"
_VGG = "Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556"
_COURSE = "course document"

#: Title, source, parameters at 3 channels and 1,000 classes, smallest side, learning rate.
_BACKBONE_FACTS = {
    "resnet18": ("ResNet-18", _RESNET, 11_689_512, 32, 5e-4),
    "resnet34": ("ResNet-34", _RESNET, 21_797_672, 32, 5e-4),
    "resnet50": ("ResNet-50", _RESNET, 25_557_032, 32, 5e-4),
    "resnet101": ("ResNet-101", _RESNET, 44_549_160, 32, 5e-4),
    "resnet152": ("ResNet-152", _RESNET, 60_192_808, 32, 5e-4),
    "mobilenet_v2": (
        "MobileNetV2", "Sandler et al. 2018, https://doi.org/10.1109/CVPR.2018.00474",
        3_504_872, 32, 5e-4,
    ),
    "squeezenet1_1": (
        "SqueezeNet 1.1", "Iandola et al. 2016, https://arxiv.org/abs/1602.07360",
        1_235_496, 32, 5e-4,
    ),
    "alexnet": (
        "AlexNet", "Krizhevsky 2014, https://arxiv.org/abs/1404.5997", 61_100_840, 63, 1e-4,
    ),
    "vgg16": ("VGG-16", _VGG, 138_357_544, 32, 1e-4),
    "vgg19": ("VGG-19", _VGG, 143_667_240, 32, 1e-4),
    "googlenet": (
        "GoogLeNet", "Szegedy et al. 2015, https://doi.org/10.1109/CVPR.2015.7298594",
        6_624_904, 32, 5e-4,
    ),
}  # fmt: skip


def _backbone_entry(network_id: str) -> NetworkEntry:
    title, source, parameters, smallest, rate = _BACKBONE_FACTS[network_id]
    return NetworkEntry(
        network_id, "classify", title,
        "torchvision's network; with ImageNet weights it is strong from few samples.",
        source, Stated(3, 224, 1000, parameters), 96, smallest, rate, of.NoSettings,
        _backbone(network_id), has_pretrained_weights=True,
    )  # fmt: skip


BACKBONES = tuple(_BACKBONE_FACTS)

_LECTURE_CLASSIFIERS = (
    NetworkEntry(
        "perceptron", "classify", "Perceptron",
        "One layer of weights that can be looked at as an image; the simplest network there is.",
        f"{_COURSE}; Rosenblatt 1958, https://doi.org/10.1037/h0042519",
        Stated(1, 28, 10, 7_850), 28, 1, 1e-3, of.NoSettings, _lecture("perceptron"),
    ),
    NetworkEntry(
        "mlp", "classify", "Multilayer perceptron",
        "Sees pixels without their neighbourhood: for comparison with convolutional networks.",
        f"{_COURSE} (CIFAR-10)",
        Stated(3, 32, 10, 3_590_642), 32, 1, 5e-4, of.NoSettings, _lecture("mlp"),
    ),
    NetworkEntry(
        "keras_mnist", "classify", "Keras digits network",
        "One convolution: the first network of many tutorials.", f"{_COURSE} (MNIST)",
        Stated(1, 28, 10, 13_610), 28, 4, 2e-3, of.NoSettings, _lecture("keras_mnist"),
    ),
    NetworkEntry(
        "mnist_convnet", "classify", "MNIST ConvNet",
        "Small images of simple shapes, with few weights.", f"{_COURSE} (MNIST)",
        Stated(1, 28, 10, 8_888), 28, 18, 2e-3, of.NoSettings, _lecture("mnist_convnet"),
    ),
    NetworkEntry(
        "digits_convnet", "classify", "Digits ConvNet",
        "Small images of simple shapes; learns within a few epochs.", f"{_COURSE} (digits)",
        Stated(1, 28, 10, 21_690), 28, 4, 2e-3, of.NoSettings, _lecture("digits_convnet"),
    ),
    NetworkEntry(
        "malaria_convnet", "classify", "Malaria ConvNet",
        "Single stained cells, thousands of them.", f"{_COURSE} (malaria cells)",
        Stated(3, 64, 2, 4_338_466), 64, 4, 1e-3, of.MalariaSettings,
        _lecture("malaria_convnet"),
    ),
    NetworkEntry(
        "rbc_convnet", "classify", "Red blood cell ConvNet",
        "Single cells at 50 x 50 pixels; the preset 'dropout' over-fits less.",
        f"{_COURSE} (red blood cells)",
        Stated(3, 50, 2, 405_185), 50, 38, 1e-3, of.DropoutSettings,
        _lecture("rbc_convnet"), presets={"dropout": {"dropout": 0.5}},
    ),
    NetworkEntry(
        "cifar_convnet", "classify", "CIFAR ConvNet",
        "Small colour images; the preset 'batch_norm' learns better.", f"{_COURSE} (CIFAR-10)",
        Stated(3, 32, 10, 116_906), 32, 15, 1e-3, of.CifarConvNetSettings,
        _lecture("cifar_convnet"), presets={"batch_norm": {"batch_norm": True}},
    ),
    NetworkEntry(
        "cifar_resnet", "classify", "CIFAR ResNet",
        "Small images: a residual network whose 3x3 stem throws no pixels away.", _RESNET,
        Stated(3, 32, 10, 272_474), 32, 1, 2e-3, of.CifarResNetSettings,
        _lecture("cifar_resnet"),
    ),
    NetworkEntry(
        "zfnet", "classify", "ZFNet",
        "Large images; of historical interest, with 62 million weights.",
        "Zeiler & Fergus 2014, https://doi.org/10.1007/978-3-319-10590-1_53",
        Stated(3, 224, 1000, 62_357_608), 224, 63, 1e-4, of.NoSettings, _lecture("zfnet"),
    ),
    NetworkEntry(
        "vgg16_frozen", "classify", "VGG-16, frozen",
        "ImageNet's features, unchanged, and a small classifier that learns.",
        f"{_COURSE} (red blood cells); {_VGG}",
        Stated(3, 85, 2, 15_928_129), 85, 32, 1e-3, of.VggHeadSettings, _vgg16_frozen,
        has_pretrained_weights=True,
    ),
)  # fmt: skip

ENTRIES = (
    NetworkEntry(
        "convnet", "classify", "Small ConvNet",
        "Cells and patches, from scratch, in a minute on a CPU.",
        f"Blocks of 3x3 convolutions, {_VGG}",
        Stated(3, 64, 2, 294_258), 64, 8, 2e-3, of.ConvNetSettings, _convnet,
    ),
    *(_backbone_entry(network_id) for network_id in BACKBONES),
    *_LECTURE_CLASSIFIERS,
    NetworkEntry(
        "custom", "classify", "Your own layers",
        "Layers that you put together yourself.", "you",
        Stated(3, 64, 2, 5_154), 64, 4, 2e-3, of.CustomSettings, _custom,
        other_tasks=("segment", "locate"),
    ),
    NetworkEntry(
        "unet", "segment", "UNet",
        "Pixels of any structure, from a few strokes or from whole masks.",
        "Ronneberger et al. 2015, https://doi.org/10.1007/978-3-319-24574-4_28",
        Stated(3, 64, 2, 482_754), 64, 16, 2e-3, of.UNetSettings, _unet,
        presets={"course": {"width": 16, "levels": 4}},
    ),
    NetworkEntry(
        "unet_pretrained", "segment", "UNet with a pretrained encoder",
        "Pixels, with features from ImageNet.",
        "Iglovikov & Shvets 2018, https://arxiv.org/abs/1801.05746",
        Stated(3, 224, 2, 14_328_354), 96, 32, 5e-4, of.PretrainedUNetSettings, _pretrained_unet,
        has_pretrained_weights=True, library="segmentation_models_pytorch",
    ),
    NetworkEntry(
        "unet3d", "segment", "3-D UNet",
        "Voxels of a z-stack, each with the slices above and below; planes may lie further apart than pixels.",
        "Cicek et al. 2016, https://doi.org/10.1007/978-3-319-46723-8_49",
        Stated(3, 64, 2, 345_698), 64, 16, 2e-3, of.UNet3dSettings, _unet3d, dimensions=3,
    ),
    NetworkEntry(
        "segnet", "segment", "SegNet",
        "Pixels, with less memory than a UNet: it keeps places of maxima instead of whole maps.",
        "Badrinarayanan et al. 2017, https://doi.org/10.1109/TPAMI.2016.2644615",
        Stated(3, 64, 2, 590_530), 64, 1, 2e-3, of.SegNetSettings, _lecture("segnet"),
    ),
    NetworkEntry(
        "patch_segmenter", "segment", "Patch classifier at every pixel",
        "The slow way to segment, for comparison: each pixel by the 32 x 32 around it.",
        f"{_COURSE}; Ciresan et al. 2012, https://papers.nips.cc/paper/4741",
        Stated(3, 64, 2, 65_442), 64, 1, 2e-3, of.PatchSegmenterSettings,
        _lecture("patch_segmenter"),
    ),
    NetworkEntry(
        "position_convnet", "locate", "Position ConvNet",
        "Row and column of one thing in a patch, to a fraction of a pixel.",
        f"{_COURSE} (bead on a bacterial motor)",
        Stated(1, 32, 1, 285_634), 32, 4, 3e-3, of.NoSettings,
        _lecture("position_convnet"),
    ),
)  # fmt: skip
