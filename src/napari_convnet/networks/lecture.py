"""The networks of the course documents, layer by layer, for any number of classes.

Each function returns a `LayerGraph`; channels and image size are known only when it is built. With two classes,
networks that end in one sigmoid unit in the documents do so here (`TwoLogits`).
"""

from __future__ import annotations

from napari_convnet.networks import network_settings as of
from napari_convnet.networks.graph import GraphBuilder, LayerGraph
from napari_convnet.networks.layers import (
    Add,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAveragePool,
    LayerKind,
    Linear,
    MaxPool2d,
    MaxUnpool2d,
    Pad,
    Relu,
    Tanh,
    TwoLogits,
)


def perceptron(n_classes: int, _settings: of.NoSettings) -> LayerGraph:
    """One linear unit per class on all pixels; with two classes, one unit."""
    return _chain(Flatten(), *_one_unit_if_two(n_classes))


def mlp(n_classes: int, _settings: of.NoSettings) -> LayerGraph:
    """Two hidden linear layers, 1000 and 512 tanh units."""
    return _chain(
        Flatten(), Linear(1000), Tanh(), Linear(512), Tanh(), Linear(),
    )  # fmt: skip


def mnist_convnet(n_classes: int, _settings: of.NoSettings) -> LayerGraph:
    """Three valid convolutions and ten hidden units."""
    return _chain(
        Conv2d(8), Relu(), MaxPool2d(), Conv2d(16), Relu(), MaxPool2d(), Conv2d(32), Relu(),
        Flatten(), Linear(10), Relu(), Linear(),
    )  # fmt: skip


def digits_convnet(n_classes: int, _settings: of.NoSettings) -> LayerGraph:
    """Three convolutions with batch normalisation."""
    layers: list[LayerKind] = []
    for filters in (8, 16):
        layers += [*_normed(filters), MaxPool2d()]
    return _chain(*layers, *_normed(32), Flatten(), Linear())


def malaria_convnet(n_classes: int, settings: of.MalariaSettings) -> LayerGraph:
    """Two convolutions, two wide linear layers, batch normalisation and dropout after each."""
    layers: list[LayerKind] = []
    for _ in range(2):
        layers += [Conv2d(32, padding="same"), Relu(), MaxPool2d(), BatchNorm()]
        layers += [Dropout(settings.dropout)]
    layers.append(Flatten())
    for units in (512, 256):
        layers += [Linear(units), Relu(), BatchNorm(), Dropout(settings.dropout)]
    return _chain(*layers, Linear())


def rbc_convnet(n_classes: int, settings: of.DropoutSettings) -> LayerGraph:
    """Four valid convolutions and two hidden linear layers, with dropout after these if wanted."""
    layers: list[LayerKind] = []
    for filters in (32, 64, 128):
        layers += [Conv2d(filters), Relu(), MaxPool2d()]
    layers += [Conv2d(128), Relu(), Flatten()]
    for units in (256, 128):
        layers += [Linear(units), Relu()]
        if settings.dropout:
            layers.append(Dropout(settings.dropout))
    return _chain(*layers, *_one_unit_if_two(n_classes))


def vgg16_frozen_head(n_classes: int, settings: of.DropoutSettings) -> LayerGraph:
    """Classify by what VGG16's frozen convolutions found: three hidden linear layers."""
    dropout = [Dropout(settings.dropout)] if settings.dropout else []
    return _chain(
        Flatten(), Linear(512), Relu(), *dropout, Linear(256), Relu(), *dropout,
        Linear(128), Relu(), *_one_unit_if_two(n_classes),
    )  # fmt: skip


def cifar_convnet(n_classes: int, settings: of.CifarConvNetSettings) -> LayerGraph:
    """Three 5x5 convolutions with overlapping pools."""
    norm = [BatchNorm()] if settings.batch_norm else []
    average = AveragePool2d(3, 2)
    return _chain(
        Conv2d(32, 5, padding="same"), *norm, MaxPool2d(3, 2), Relu(),
        Conv2d(32, 5, padding="same"), *norm, Relu(), average,
        Conv2d(64, 5, padding="same"), *norm, Relu(), average,
        Flatten(), Linear(64), Relu(), Linear(),
    )  # fmt: skip


def keras_mnist(n_classes: int, _settings: of.NoSettings) -> LayerGraph:
    """One convolution, one pool, one linear layer."""
    return _chain(Conv2d(8), MaxPool2d(), Flatten(), Linear())


def cifar_resnet(n_classes: int, settings: of.CifarResNetSettings) -> LayerGraph:
    """Residual blocks on a 3x3 stem, which keeps the pixels of small images."""
    builder = GraphBuilder()
    builder.chain(*_normed(settings.width, bias=False))
    for stage in range(3):
        filters = settings.width * 2**stage
        for block in range(settings.blocks):
            halves = stage > 0 and block == 0
            start = builder.last
            builder.chain(
                *_normed(filters, stride=1 + halves, bias=False),
                Conv2d(filters, padding="same", bias=False),
            )
            branch = builder.add(BatchNorm())
            if halves:  # the shortcut has to become as wide and as small
                builder.add(Conv2d(filters, 1, stride=2, bias=False), start)
                start = builder.add(BatchNorm())
            builder.add(Add(), branch, start)
            builder.add(Relu())
    builder.chain(GlobalAveragePool(), Linear())
    return builder.graph()


def zfnet(n_classes: int, _settings: of.NoSettings) -> LayerGraph:
    """Five convolutions, the first ones with large windows, and two hidden linear layers."""
    pool = MaxPool2d(3, 2, ceil=True)
    return _chain(
        Conv2d(96, 7, stride=2, padding="1"), Relu(), pool, Conv2d(256, 5, stride=2), Relu(), pool,
        Conv2d(384, padding="same"), Relu(), Conv2d(384, padding="same"), Relu(),
        Conv2d(256, padding="same"), Relu(), MaxPool2d(3, 2),
        Flatten(), Linear(4096), Relu(), Dropout(0.5), Linear(4096), Relu(), Dropout(0.5), Linear(),
    )  # fmt: skip


def position_convnet(n_classes: int, _settings: of.NoSettings) -> LayerGraph:
    """Three convolutions, then row and column in pixels."""
    layers: list[LayerKind] = []
    for filters in (16, 32):
        layers += [Conv2d(filters, padding="same"), Relu(), MaxPool2d()]
    layers += [Conv2d(64, padding="same"), Relu(), Flatten(), Linear(64), Relu(), Linear(2)]
    return _chain(*layers)


def patch_classifier(n_classes: int, settings: of.PatchSegmenterSettings) -> LayerGraph:
    """Classify the middle of a 32 x 32 patch; the output is ``(K, 1, 1)`` there.

    Slid over an image pixel by pixel, it is the documents' slow segmentation; `patch_segmenter` has the
    same layers, names and weights, and computes the same for all pixels at once.
    """
    return _sliding(settings, dense=False)


def patch_segmenter(n_classes: int, settings: of.PatchSegmenterSettings) -> LayerGraph:
    """`patch_classifier` for every pixel of an image at once.

    Every stride becomes a dilation of the layers after it. The patch of a pixel begins 16 pixels above and
    left of it; the border of the image is repeated outwards.
    """
    return _sliding(settings, dense=True)


def _sliding(settings: of.PatchSegmenterSettings, dense: bool) -> LayerGraph:
    builder, spread = GraphBuilder(), 1
    if dense:
        builder.add(Pad(16, 15))
    for factor in (1, 2):
        builder.chain(Conv2d(settings.width * factor, 5, dilation=spread), Relu())
        builder.add(MaxPool2d(2, 1 if dense else 2, dilation=spread))
        spread *= 2 if dense else 1
    builder.chain(Conv2d(settings.width * 4, 5, dilation=spread), Relu(), Conv2d(0, 1))
    return builder.graph()


def segnet(n_classes: int, settings: of.SegNetSettings) -> LayerGraph:
    """Decode what was encoded, putting values back where the encoder's max pools found them."""
    builder = GraphBuilder()
    widths = [settings.width * 2**level for level in range(settings.levels)]
    pools = []
    for filters in widths:
        builder.chain(*_normed(filters), *_normed(filters))
        pools.append(builder.add(MaxPool2d()))
    for pool, filters, narrower in zip(
        reversed(pools), reversed(widths), [*reversed(widths[:-1]), widths[0]], strict=True
    ):
        builder.add(MaxUnpool2d(), builder.last, pool)
        builder.chain(*_normed(filters), *_normed(narrower))
    builder.add(Conv2d(0, 1))
    return builder.graph()


def _chain(*layers: LayerKind) -> LayerGraph:
    builder = GraphBuilder()
    builder.chain(*layers)
    return builder.graph()


def _normed(filters: int, stride: int = 1, bias: bool = True) -> list[LayerKind]:
    return [Conv2d(filters, stride=stride, padding="same", bias=bias), BatchNorm(), Relu()]


def _one_unit_if_two(n_classes: int) -> list[LayerKind]:
    return [Linear(1), TwoLogits()] if n_classes == 2 else [Linear()]
