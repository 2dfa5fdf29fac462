"""The one pre-processing: from crops as a store or a camera gives them to what a network takes.

Training, validation, evaluation, prediction and exported files all run this module. It lies here, below everything
that uses it; ``cmsa.runtime.preprocess`` makes it from what weights say of themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cmsa.structures import IMAGENET_MEAN, IMAGENET_STD


class Preprocess(nn.Module):
    """RGB crops (B, H, W, 3) uint8 -> normalised images (B, 3, H, W) float32.

    The numbers are buffers, so that they are on the device where the module is, and are not part of a state dict.

    Args:
        mean: per channel, of images in 0..1.
        std: per channel, of images in 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, in channels-last memory."""
        return self.normalize(crops.permute(0, 3, 1, 2).float() / 255)

    def normalize(self, images: Tensor) -> Tensor:
        """``(images - mean) / std`` for images (B, 3, H, W) in 0..1."""
        return (images - self.mean) / self.std
