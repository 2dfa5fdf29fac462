"""The whole augmentation of one batch of stored crops, the same code on CPU and GPU.

One call draws an affine map per sample, warps the crops, changes the colours, normalises and erases. The caller
moves the labels with the returned sample (``transform_keypoints`` for joints; ``rotation`` and ``flipped`` for
angles).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cmsa.data.transforms.affine import (
    AffineRange,
    AffineSample,
    compose,
    invert,
    move_keypoints,
    sample_affine,
    to_images,
    transform_keypoints,
    transform_points,
    warp,
)
from cmsa.data.transforms.photometric import (
    ErasingFill,
    color_jitter,
    random_erasing,
)
from cmsa.data.transforms.preprocess import Preprocess

__all__ = [
    "AffineRange",
    "AffineSample",
    "Augmentation",
    "ErasingFill",
    "color_jitter",
    "compose",
    "invert",
    "move_keypoints",
    "random_erasing",
    "sample_affine",
    "to_images",
    "transform_keypoints",
    "transform_points",
    "warp",
]


@dataclass(frozen=True)
class Augmentation:
    """Augments batches of stored crops.

    Attributes:
        size: (H, W) of the images that come out.
        density: stored pixels per output pixel where nothing is scaled.
        affine: how far a crop may move.
        brightness: colour jitter, 0 to leave it.
        contrast: colour jitter, 0 to leave it.
        saturation: colour jitter, 0 to leave it.
        erasing_probability: the share of images with an erased rectangle.
        erasing_fill: what is written there.
        supersample: bilinear samples per output pixel, along each axis.
        preprocess: how images are normalised; on the device of the crops.
    """

    size: tuple[int, int]
    density: float = 1.0
    affine: AffineRange = field(default_factory=AffineRange)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    erasing_probability: float = 0.0
    erasing_fill: ErasingFill = "pixels"
    supersample: int = 2
    preprocess: Preprocess = field(default_factory=Preprocess)

    def __call__(
        self,
        crops: Tensor,
        generator: torch.Generator,
        keypoints: Tensor | None = None,
        upper_body: Sequence[int] = (),
    ) -> tuple[Tensor, AffineSample]:
        """Augment crops (B, H_s, W_s, 3) uint8 RGB on the generator's device.

        Args:
            crops: the stored crops.
            generator: source of every random number.
            keypoints: (B, K, 3) of x, y in the store crop and visibility, for half bodies.
            upper_body: indices of the keypoints of the upper half.

        Returns:
            Normalised images (B, 3, H, W) float32, and what was drawn.

        Raises:
            ValueError: the crops are not (B, H, W, 3) uint8.
        """
        if crops.ndim != 4 or crops.shape[-1] != 3 or crops.dtype != torch.uint8:
            raise ValueError(f"crops must be (B, H, W, 3) uint8, got {tuple(crops.shape)} {crops.dtype}")
        batch, store_height, store_width, _ = crops.shape
        sample = sample_affine(
            batch, (store_height, store_width), self.size, self.density, self.affine, generator, keypoints, upper_body
        )
        images = warp(crops, sample.matrices, self.size, self.supersample)
        if self.brightness or self.contrast or self.saturation:
            images = color_jitter(images, self.brightness, self.contrast, self.saturation, generator)
        images = self.preprocess.normalize(images)
        if self.erasing_probability:
            images = random_erasing(images, self.erasing_probability, generator, fill=self.erasing_fill)
        return images, sample
