"""Batched changes of colour and content that leave the labels alone.

Images are (B, 3, H, W) RGB floats. Every random number comes from an explicit ``torch.Generator`` on the images'
device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Luma of RGB, ITU-R BT.601."""


def color_jitter(
    images: Tensor, brightness: float, contrast: float, saturation: float, generator: torch.Generator
) -> Tensor:
    """Change brightness, contrast and saturation, in this order, by factors drawn for each image.

    Args:
        images: (B, 3, H, W) in 0..1.
        brightness: the image is multiplied by a factor from ``1 ± brightness``, uniform.
        contrast: distances from the mean grey value are multiplied by a factor from ``1 ± contrast``.
        saturation: distances from each pixel's grey value are multiplied by a factor from ``1 ± saturation``.
        generator: source of the factors.

    Returns:
        (B, 3, H, W), clipped to 0..1.
    """
    random = torch.rand(3, len(images), 1, 1, 1, generator=generator, device=images.device, dtype=images.dtype)
    strengths = (brightness, contrast, saturation)
    bright, steep, vivid = (1 + (draw * 2 - 1) * strength for draw, strength in zip(random, strengths, strict=True))
    images = (images * bright).clamp(0, 1)
    level = grey(images).mean(dim=(2, 3), keepdim=True)
    images = torch.lerp(level, images, steep).clamp(0, 1)
    return torch.lerp(grey(images), images, vivid).clamp(0, 1)


def grey(images: Tensor) -> Tensor:
    """Luma (B, 1, H, W) of images (B, 3, H, W)."""
    red, green, blue = (images[:, channel, None] for channel in range(3))
    return GREY_WEIGHTS[0] * red + GREY_WEIGHTS[1] * green + GREY_WEIGHTS[2] * blue


def random_erasing(
    images: Tensor,
    probability: float,
    generator: torch.Generator,
    area: tuple[float, float] = (0.02, 1 / 3),
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
    attempts: int = 10,
) -> Tensor:
    """Overwrite a rectangle of some images with normal noise (Random Erasing, arXiv 1708.04896; drawn as timm does).

    Args:
        images: (B, 3, H, W), normalised.
        probability: the share of images in which a rectangle is erased.
        generator: source of every random number.
        area: limits of the rectangle's share of the image, uniform.
        aspect: limits of its height over its width, uniform in the logarithm.
        attempts: a rectangle that does not fit is drawn again, this many times in all.

    Returns:
        (B, 3, H, W).
    """
    batch, _, height, width = images.shape
    device = images.device
    random = torch.rand(5, batch, attempts, generator=generator, device=device)
    pixels = (area[0] + (area[1] - area[0]) * random[0]) * (height * width)
    ratio = torch.exp(math.log(aspect[0]) + math.log(aspect[1] / aspect[0]) * random[1])
    tall, wide = (pixels * ratio).sqrt().round(), (pixels / ratio).sqrt().round()
    fits = (tall < height) & (wide < width)
    first = fits.int().argmax(dim=1, keepdim=True)
    erased = fits.gather(1, first) & (random[4, :, :1] < probability)
    top = (random[2] * (height - tall + 1)).floor().gather(1, first)
    left = (random[3] * (width - wide + 1)).floor().gather(1, first)
    bottom, right = top + tall.gather(1, first), left + wide.gather(1, first)
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    in_rows = (rows >= top) & (rows < bottom) & erased
    in_columns = (columns >= left) & (columns < right)
    mask = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    noise = torch.randn(images.shape, generator=generator, device=device, dtype=images.dtype)
    return torch.where(mask, noise, images)
