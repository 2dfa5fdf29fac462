"""RandAugment (arXiv 1909.13719) of a batch of images, drawn and computed as timm's ``rand-m9-mstd0.5-inc1``, DeiT's.

Every operation is done to the whole batch, and each image takes what it drew: small images, and no word to the CPU.
Images are in 0..255 in here, of whole numbers, as the operations are defined on bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cmsa.data.transforms.photometric import grey

MOST = 10.0
"""The largest magnitude."""
ROTATION, SHEAR, TRANSLATION = 30.0, 0.3, 0.45
"""At the largest magnitude: degrees, pixels for each pixel, and of the image's side."""


@dataclass(frozen=True)
class RandAugment:
    """Operations on images, drawn for each of them.

    Attributes:
        magnitude: 0 to 10; of each image and layer one is drawn around it.
        deviation: standard deviation of that.
        layers: operations that each image is offered, one after the other.
        probability: that it takes one.
        fill: RGB in 0..1 of what is moved in from outside.
    """

    magnitude: float
    deviation: float = 0.5
    layers: int = 2
    probability: float = 0.5
    fill: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (B, 3, H, W) in 0..1 -> the same, changed."""
        batch, device = len(images), images.device
        pixels = (images * 255).round()
        for _ in range(self.layers):
            drawn = torch.rand(3, batch, generator=generator, device=device)
            level = self.magnitude + self.deviation * torch.randn(batch, generator=generator, device=device)
            chosen = (drawn[0] * len(OPERATIONS)).long().clamp(max=len(OPERATIONS) - 1)
            chosen = chosen.masked_fill(drawn[1] >= self.probability, -1)
            sign = torch.where(drawn[2] < 0.5, -1.0, 1.0)
            pixels = apply_operations(pixels, chosen, level.clamp(0, MOST) / MOST, sign, self.fill)
        return pixels / 255


def apply_operations(
    pixels: Tensor, chosen: Tensor, level: Tensor, sign: Tensor, fill: tuple[float, float, float]
) -> Tensor:
    """To each image its operation.

    Args:
        pixels: (B, 3, H, W) in 0..255.
        chosen: (B,) places in ``OPERATIONS``; -1 for none.
        level: (B,) strength, 0 to 1.
        sign: (B,) -1 or 1, for operations that have two directions.
        fill: RGB in 0..1.
    """
    level, sign = level[:, None, None, None], sign[:, None, None, None]
    result = pixels
    for place, name in enumerate(OPERATIONS):
        if name in PHOTOMETRIC:
            mine = (chosen == place)[:, None, None, None]
            result = torch.where(mine, PHOTOMETRIC[name](pixels, level, sign), result)
    moved = _moved(pixels, chosen, (level * sign).flatten(), fill)
    geometric = chosen >= len(PHOTOMETRIC)
    return torch.where(geometric[:, None, None, None], moved, result)


def autocontrast(pixels: Tensor) -> Tensor:
    """Each channel stretched to 0..255."""
    low, high = pixels.amin(dim=(2, 3), keepdim=True), pixels.amax(dim=(2, 3), keepdim=True)
    scale = 255 / (high - low).clamp(min=1)
    return torch.where(high > low, ((pixels - low) * scale).floor(), pixels)


def equalize(pixels: Tensor) -> Tensor:
    """Each channel by the table that makes its histogram flat (PIL's ``ImageOps.equalize``)."""
    flat = pixels.flatten(2).long()
    counts = pixels.new_zeros(*flat.shape[:2], 256).scatter_add_(2, flat, pixels.new_ones(flat.shape))
    last = counts.gather(2, flat.amax(dim=2, keepdim=True))
    step = ((counts.sum(dim=2, keepdim=True) - last) / 255).floor()
    table = ((step / 2).floor() + counts.cumsum(2) - counts) / step.clamp(min=1)
    changed = table.floor().clamp(max=255).gather(2, flat).view_as(pixels)
    return torch.where(step[..., None] > 0, changed, pixels)


def _posterize(pixels: Tensor, level: Tensor, _: Tensor) -> Tensor:
    unit = 2 ** (4 + (level * 4).floor())
    return (pixels / unit).floor() * unit


def _solarize(pixels: Tensor, level: Tensor, _: Tensor) -> Tensor:
    return torch.where(pixels < 256 - (level * 256).floor(), pixels, 255 - pixels)


def _solarize_add(pixels: Tensor, level: Tensor, _: Tensor) -> Tensor:
    return torch.where(pixels < 128, (pixels + (level * 110).floor()).clamp(max=255), pixels)


def _blended(pixels: Tensor, plain: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    factor = (1 + sign * level * 0.9).clamp(min=0.1)
    return (plain + factor * (pixels - plain)).clamp(0, 255).floor()


def _contrast(pixels: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    return _blended(pixels, grey(pixels).round().mean(dim=(2, 3), keepdim=True).round(), level, sign)


def _sharpness(pixels: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    kernel = torch.ones(3, 1, 3, 3, device=pixels.device, dtype=pixels.dtype)
    inner = functional.conv2d(pixels, kernel, groups=3)
    # PIL's SMOOTH: the middle counts 5 times; the border stays.
    smooth = pixels.clone()
    smooth[:, :, 1:-1, 1:-1] = ((inner + 4 * pixels[:, :, 1:-1, 1:-1]) / 13).round()
    return _blended(pixels, smooth, level, sign)


PHOTOMETRIC: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "autocontrast": lambda pixels, level, sign: autocontrast(pixels),
    "equalize": lambda pixels, level, sign: equalize(pixels),
    "invert": lambda pixels, level, sign: 255 - pixels,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "color": lambda pixels, level, sign: _blended(pixels, grey(pixels).round(), level, sign),
    "contrast": _contrast,
    "brightness": lambda pixels, level, sign: _blended(pixels, torch.zeros_like(pixels), level, sign),
    "sharpness": _sharpness,
}
"""What changes colours: from images, level and sign."""
OPERATIONS = (*PHOTOMETRIC, "rotate", "shear_x", "shear_y", "translate_x", "translate_y")
"""timm's fifteen, which its ``inc1`` lets grow with the magnitude."""


def _moved(pixels: Tensor, chosen: Tensor, amount: Tensor, fill: tuple[float, float, float]) -> Tensor:
    """Images turned, sheared or shifted, bilinear; each by ``amount`` (B,) in -1..1 of the most."""
    height, width = pixels.shape[2:]

    def of(name: str) -> Tensor:
        return torch.where(chosen == OPERATIONS.index(name), amount, torch.zeros_like(amount))[:, None, None]

    columns = torch.arange(width, device=pixels.device) + 0.5
    rows = (torch.arange(height, device=pixels.device) + 0.5)[:, None]
    angle = of("rotate") * math.radians(ROTATION)
    # About the middle; shears are along the upper and the left edge, as timm has them.
    from_middle = (columns - width / 2, rows - height / 2)
    x = angle.cos() * from_middle[0] - angle.sin() * from_middle[1] + width / 2
    y = angle.sin() * from_middle[0] + angle.cos() * from_middle[1] + height / 2
    x = x + of("shear_x") * SHEAR * rows + of("translate_x") * TRANSLATION * width
    y = y + of("shear_y") * SHEAR * columns + of("translate_y") * TRANSLATION * height
    grid = torch.stack([x * (2 / width) - 1, y * (2 / height) - 1], dim=-1)
    outside = pixels.new_empty(1, 3, 1, 1)
    for channel, value in enumerate(fill):
        outside[:, channel].fill_(255 * value)
    moved = functional.grid_sample(pixels - outside, grid, "bilinear", "zeros", align_corners=False)
    return (moved + outside).clamp(0, 255).round()
