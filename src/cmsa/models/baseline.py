"""The usual networks that CMSA is compared with, trained by the same recipes."""

from __future__ import annotations

import timm
from torch import Tensor, nn

from cmsa.models.windows import ceil_divide

Size = tuple[int, int]
DECONVOLUTION_WIDTH = 256


class SimpleBaseline(nn.Module):
    """ResNet and three transposed convolutions (SimpleBaseline, arXiv 1804.06208): heatmaps at a quarter of the input.

    Args:
        input_size: (H, W) of the images.
        num_keypoints: K.
        backbone: timm's name of the ResNet.
    """

    def __init__(self, input_size: Size, num_keypoints: int = 17, backbone: str = "resnet18") -> None:
        super().__init__()
        self.input_size, self.reduction = input_size, 4
        self.backbone = timm.create_model(backbone, num_classes=0, global_pool="")
        layers: list[nn.Module] = []
        width = int(self.backbone.num_features)
        for _ in range(3):
            layers += [
                nn.ConvTranspose2d(width, DECONVOLUTION_WIDTH, 4, 2, 1, bias=False),
                nn.BatchNorm2d(DECONVOLUTION_WIDTH),
                nn.ReLU(inplace=True),
            ]
            width = DECONVOLUTION_WIDTH
        self.head = nn.Sequential(*layers, nn.Conv2d(width, num_keypoints, 1))
        for module in self.head.modules():
            if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> heatmaps (B, K, H/4, W/4)."""
        height, width = (ceil_divide(side, 4) for side in self.input_size)
        # The ResNet rounds H/32 up, so its maps can be larger than H/4.
        return self.head(self.backbone(x))[:, :, :height, :width]  # type: ignore[no-any-return]
