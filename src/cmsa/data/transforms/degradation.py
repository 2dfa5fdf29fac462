"""What a camera does to a picture: blur, noise and JPEG, batched, the same code on CPU and GPU.

It is done to the images as a network sees them: a person who is 32 pixels tall in a compressed frame has blocks of 8
of her own pixels, whereas a crop that was averaged from a large photo shows neither blocks, nor noise, nor blur.
Images are (B, 3, H, W) RGB floats in 0..1. Every random number comes from an explicit ``torch.Generator`` on the
images' device.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.data.transforms.photometric import GREY_WEIGHTS

BLOCK = 8
"""Sides of what JPEG transforms at a time."""
BEST_QUALITY = 95
"""The best that is drawn; better JPEG cannot be seen."""

# Quantisation at quality 50 of luma and of colour, ITU-T T.81 Annex K.
LUMA_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
COLOR_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
# RGB to luma and the two differences of colour, ITU-T T.871 (JFIF).
TO_YCBCR = (GREY_WEIGHTS, (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


class Degradation(nn.Module):
    """Blurs, then adds noise, then compresses, each to its own share of the images and as strongly as is drawn.

    Its constants are buffers: move it to the device of the images.

    Args:
        probability: the share of the images that each of the three is done to.
        blur: the largest standard deviation of the gaussian, in pixels of the images; 0 for none.
        noise: the largest standard deviation of gaussian noise, of 255 grey levels; 0 for none.
        jpeg: the lowest JPEG quality, 1 to 95; 0 for none.
    """

    steps: Tensor
    cosines: Tensor

    def __init__(self, probability: float, blur: float = 0.0, noise: float = 0.0, jpeg: int = 0) -> None:
        super().__init__()
        self.probability, self.blur, self.noise, self.jpeg = probability, blur, noise, jpeg
        tables = torch.tensor([LUMA_STEPS, COLOR_STEPS, COLOR_STEPS], dtype=torch.float32)
        self.register_buffer("steps", tables, persistent=False)
        self.register_buffer("cosines", discrete_cosines(), persistent=False)

    def forward(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (B, 3, H, W) in 0..1 -> the same, made worse, in 0..1."""
        # As many numbers are drawn whatever is switched on, so that one switch does not change what another does.
        draws = torch.rand(6, len(images), generator=generator, device=images.device)
        share, strength = draws[:3] < self.probability, draws[3:]
        if self.blur:
            images = gaussian_blur(images, self.blur * strength[0] * share[0], self.blur)
        if self.noise:
            noise = torch.randn(images.shape, generator=generator, device=images.device)
            deviation = self.noise / 255 * strength[1] * share[1]
            images = (images + deviation[:, None, None, None] * noise).clamp(0, 1)
        if self.jpeg:
            quality = (self.jpeg + strength[2] * (BEST_QUALITY - self.jpeg)).round()
            written = compress(images, quality, self.steps, self.cosines)
            images = torch.where(share[2][:, None, None, None], written, images)
        return images


def gaussian_blur(images: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur each image (3, H, W) of a batch by a gaussian of its own; the edge is mirrored.

    Args:
        images: (B, 3, H, W).
        sigma: (B) standard deviations in pixels, 0 to ``largest``; 0 leaves an image as it is.
        largest: of them, which says how far a kernel reaches.
    """
    batch, channels, height, width = images.shape
    # The mirror shows no more than the image has.
    reach = min(math.ceil(3 * largest), height - 1, width - 1)
    distance = torch.arange(-reach, reach + 1, device=images.device)
    kernel = torch.exp(-(distance**2) / (2 * sigma[:, None] ** 2).clamp(min=1e-6))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)[:, None]
    planes = F.pad(images, (reach,) * 4, mode="reflect").flatten(0, 1)[None]
    planes = F.conv2d(planes, kernel[:, :, None], groups=batch * channels)
    return F.conv2d(planes, kernel[:, :, :, None], groups=batch * channels).view_as(images)


def compress(images: Tensor, quality: Tensor, steps: Tensor, cosines: Tensor) -> Tensor:
    """What is left of each image when it is written as JPEG and read again (4:2:0, as cameras write it).

    Args:
        images: (B, 3, H, W) in 0..1.
        quality: (B) whole numbers from 1 to 100.
        steps: (3, 8, 8) quantisation at quality 50 of luma and the two colours.
        cosines: (8, 8) of ``discrete_cosines``.

    Returns:
        (B, 3, H, W) in steps of 1/255.
    """
    height, width = images.shape[2:]
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    tables = ((steps * scale[:, None, None, None] + 50) / 100).floor().clamp(1, 255)
    # Colour is kept at half the resolution, so whole blocks of it are 16 pixels.
    edges = (0, -width % (2 * BLOCK), 0, -height % (2 * BLOCK))
    planes = F.pad((images * 255).round(), edges, mode="replicate")
    planes = torch.einsum("ck,bkhw->bchw", planes.new_tensor(TO_YCBCR), planes)
    luma = quantize((planes[:, :1] - 128).round(), tables[:, :1], cosines) + 128
    color = quantize(F.avg_pool2d(planes[:, 1:], 2).round(), tables[:, 1:], cosines)
    color = F.interpolate(color.round(), scale_factor=2.0, mode="bilinear", align_corners=False)
    planes = torch.einsum("ck,bkhw->bchw", planes.new_tensor(TO_RGB), torch.cat([luma, color], dim=1))
    return planes[:, :, :height, :width].round().clamp(0, 255) / 255


def quantize(planes: Tensor, tables: Tensor, cosines: Tensor) -> Tensor:
    """Round each block's cosine transform to multiples of its steps.

    Args:
        planes: (B, C, H, W) about 0, sides that 8 divides.
        tables: (B, C, 8, 8) the steps.
        cosines: (8, 8).
    """
    batch, channels, height, width = planes.shape
    blocks = planes.view(batch, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4)
    step = tables[:, :, None, None]
    rounded = (cosines @ blocks @ cosines.T / step).round() * step
    return (cosines.T @ rounded @ cosines).transpose(3, 4).reshape(planes.shape)


def discrete_cosines() -> Tensor:
    """(8, 8) orthonormal matrix of the type-2 discrete cosine transform: rows are frequencies."""
    place = torch.arange(BLOCK, dtype=torch.float64)
    cosines = torch.cos(math.pi / BLOCK * (place + 0.5) * place[:, None]) * math.sqrt(2 / BLOCK)
    cosines[0] *= math.sqrt(0.5)
    return cosines.float()
