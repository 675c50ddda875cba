"""A UNet whose way down is one of torchvision's classifiers, so that it can start from ImageNet weights."""

from __future__ import annotations

from functools import cached_property

import torch.nn.functional as F
from torch import Tensor, nn

from napari_convnet.errors import UserError
from napari_convnet.networks.network_settings import PretrainedUNetSettings

#: Encoders halve the image five times.
_MULTIPLE = 32


class PretrainedUNet(nn.Module):
    """Encoder of a classifier, and segmentation-models-pytorch's UNet decoder with skip connections.

    Input ``(N, in_channels, Y, X)`` float32 of any size, output logits ``(N, n_classes, Y, X)``. The image is padded
    at its end to a multiple of 32 by repeating the border, and the padding is cut off again. Weights are random
    until `adapt_weights` brings some; nothing is downloaded here.

    Raises
    ------
    UserError
        CN-532 if segmentation-models-pytorch is not installed.

    References
    ----------
    Iglovikov & Shvets 2018, https://arxiv.org/abs/1801.05746 (UNet with an ImageNet encoder);
    Iakubovskii 2019, https://github.com/qubvel-org/segmentation_models.pytorch.
    """

    def __init__(self, in_channels: int, n_classes: int, settings: PretrainedUNetSettings) -> None:
        super().__init__()
        try:
            from segmentation_models_pytorch import Unet
        except ImportError as error:
            raise UserError(
                "CN-532",
                "'unet_pretrained' needs the library segmentation-models-pytorch, which is not "
                "installed. Nothing was changed. Install it with: "
                "pip install \"napari-convnet[encoders]\", or choose the network 'unet'.",
                details=str(error),
            ) from error
        whole = Unet(
            settings.encoder, encoder_weights=None, in_channels=in_channels, classes=n_classes
        )
        self.encoder, self.decoder, self.head = (
            whole.encoder,
            whole.decoder,
            whole.segmentation_head,
        )
        self.encoder_name, self.multiple = settings.encoder, _MULTIPLE
        self._in_channels = in_channels

    @cached_property
    def receptive_radius(self) -> int:
        """Return how far, in pixels, an input pixel can influence an output pixel (an upper bound)."""
        from napari_convnet.networks.trace import receptive_radius

        return receptive_radius(self, self._in_channels, self.multiple)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(N, n_classes, Y, X)``."""
        rows, columns = image.shape[-2:]
        end = (0, -columns % _MULTIPLE, 0, -rows % _MULTIPLE)
        features = self.encoder(F.pad(image, end, mode="replicate"))
        return self.head(self.decoder(features))[..., :rows, :columns]
