"""The whole augmentation of one batch of stored crops, the same code on CPU and GPU.

One call draws an affine map per sample, warps the crops, changes the colours, degrades, normalises and erases.
The caller moves the labels with the returned sample (``transform_keypoints`` for joints; ``rotation`` and
``flipped`` for angles).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cmsa.data.transforms.affine import AffineRange, AffineSample, sample_affine, warp
from cmsa.data.transforms.degradation import Degradation
from cmsa.data.transforms.photometric import color_jitter, random_erasing
from cmsa.data.transforms.preprocess import Preprocess
from cmsa.data.transforms.randaugment import RandAugment


class Augmentation(nn.Module):
    """Augments batches of stored crops. Its constants are buffers: move it to the device of the crops.

    Args:
        size: (H, W) of the images that come out.
        density: stored pixels per output pixel where nothing is scaled.
        affine: how far a crop may move.
        brightness: colour jitter, 0 to leave it.
        contrast: colour jitter, 0 to leave it.
        saturation: colour jitter, 0 to leave it.
        erasing_probability: the share of images with an erased rectangle.
        supersample: bilinear samples per output pixel, along each axis.
        preprocess: how images are normalised; by ImageNet's mean and spread if None.
        degradation: blur, noise and JPEG of the images; none if None.
        randaugment: of the images, before all other changes of colour; none if None.
        truncation: the share of people of whom a part is cut off. That changes labels too, so whoever has them does it
            before; see ``truncate``.
    """

    def __init__(
        self,
        size: tuple[int, int],
        density: float = 1.0,
        affine: AffineRange | None = None,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        erasing_probability: float = 0.0,
        supersample: int = 2,
        preprocess: Preprocess | None = None,
        degradation: Degradation | None = None,
        randaugment: RandAugment | None = None,
        truncation: float = 0.0,
    ) -> None:
        super().__init__()
        self.size, self.density, self.affine, self.supersample = size, density, affine or AffineRange(), supersample
        self.brightness, self.contrast, self.saturation = brightness, contrast, saturation
        self.erasing_probability = erasing_probability
        self.preprocess = preprocess or Preprocess()
        self.degradation, self.randaugment, self.truncation = degradation, randaugment, truncation

    def forward(
        self,
        crops: Tensor,
        generator: torch.Generator,
        keypoints: Tensor | None = None,
        upper_body: Sequence[int] = (),
        regions: Tensor | None = None,
    ) -> tuple[Tensor, AffineSample]:
        """Augment crops (B, H_s, W_s, 3) uint8 RGB on the generator's device.

        Args:
            crops: the stored crops.
            generator: source of every random number.
            keypoints: (B, K, 3) of x, y in the store crop and visibility, for half bodies.
            upper_body: indices of the keypoints of the upper half.
            regions: (B, 3) in place of the plain crops, see ``sample_affine``.

        Returns:
            Normalised images (B, 3, H, W) float32, and what was drawn.

        Raises:
            ValueError: the crops are not (B, H, W, 3) uint8.
        """
        if crops.ndim != 4 or crops.shape[-1] != 3 or crops.dtype != torch.uint8:
            raise ValueError(f"crops must be (B, H, W, 3) uint8, got {tuple(crops.shape)} {crops.dtype}")
        batch, store_height, store_width, _ = crops.shape
        store_size = (store_height, store_width)
        sample = sample_affine(
            batch, store_size, self.size, self.density, self.affine, generator, keypoints, upper_body, regions
        )
        images = warp(crops, sample.matrices, self.size, self.supersample)
        if self.randaugment is not None:
            images = self.randaugment(images, generator)
        if self.brightness or self.contrast or self.saturation:
            images = color_jitter(images, self.brightness, self.contrast, self.saturation, generator)
        if self.degradation is not None:
            images = self.degradation(images, generator)
        images = self.preprocess.normalize(images)
        if self.erasing_probability:
            images = random_erasing(images, self.erasing_probability, generator)
        return images, sample
