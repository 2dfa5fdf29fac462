"""Crops made worse on purpose, step by step: what a network should bear.

Everything is done to the crop that the store holds, not to the picture it was cut from: a blur of one pixel is one of
the input's pixels, and what a shifted box would show beyond the crop's edge is the edge, repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cmsa.data.store import CropStore
from cmsa.geometry.affine import compose_affine
from cmsa.structures import FloatArray

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels, float, np.random.Generator], tuple[Pixels, FloatArray]]
"""A crop (H, W, 3), how strong, random numbers -> the crop made worse, and the map (2, 3) that moved its content."""

STILL: FloatArray = np.array([[1.0, 0, 0], [0, 1, 0]])
COVER = (124, 116, 104)
"""The grey that covers: ImageNet's mean."""
HEIGHTS = (96, 64, 48, 32, 24, 16, 12, 8)


@dataclass(frozen=True)
class Disturbance:
    """A way in which crops get worse.

    Attributes:
        name: of it.
        unit: what its strengths are.
        strengths: weak to strong.
        change: does it to one crop.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    change: Change


def disturbances(height: int) -> tuple[Disturbance, ...]:
    """All of them, for crops of a height in pixels, which says to what resolutions they can be lowered."""
    lower = tuple(float(h) for h in HEIGHTS if min(16, height // 4) <= h < height)
    return (
        Disturbance("blur", "sigma of a gaussian in input pixels", (0.5, 1, 1.5, 2, 3), blur),
        Disturbance("JPEG", "quality", (90, 70, 50, 30, 10), compress),
        Disturbance("noise", "standard deviation of 255 grey levels", (5, 10, 20, 40, 80), add_noise),
        Disturbance("darker", "factor on the pixels", (0.75, 0.5, 0.35, 0.2, 0.1), scale_brightness),
        Disturbance("brighter", "factor on the pixels", (1.25, 1.5, 2, 3, 4), scale_brightness),
        Disturbance("box jitter", "most shift and resizing, share of the crop", (0.05, 0.1, 0.15, 0.2, 0.3), jitter),
        Disturbance("occlusion", "share of the crop that is covered", (0.05, 0.1, 0.2, 0.3, 0.5), cover),
        Disturbance("resolution", "height in pixels before it was enlarged again", lower, lower_resolution),
    )


def disturbed(store: CropStore, disturbance: Disturbance, strength: float, seed: int = 0) -> CropStore:
    """The store with each crop made worse, in memory; its labels move along.

    Args:
        store: cut for evaluation.
        disturbance: what is done.
        strength: how much of it.
        seed: of what is random. A crop's numbers depend on its place in the store only, so a stronger disturbance is
            more of the same.
    """
    crops = np.empty(store.crops.shape, np.uint8)
    moved = np.empty((len(crops), 2, 3))
    for place, crop in enumerate(store.crops):
        crops[place], moved[place] = disturbance.change(np.array(crop), strength, np.random.default_rng([seed, place]))
    return replace(store, crops=crops, labels=store.labels | {"matrix": compose_affine(moved, store.labels["matrix"])})


def blur(crop: Pixels, sigma: float, random: np.random.Generator) -> tuple[Pixels, FloatArray]:
    """Blur by a gaussian."""
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.uint8), STILL


def compress(crop: Pixels, quality: float, random: np.random.Generator) -> tuple[Pixels, FloatArray]:
    """Write and read the crop as JPEG."""
    _, written = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR), np.uint8)[..., ::-1], STILL


def add_noise(crop: Pixels, deviation: float, random: np.random.Generator) -> tuple[Pixels, FloatArray]:
    """Add gaussian noise, of its own in every pixel and colour."""
    return _rounded(crop + deviation * random.standard_normal(crop.shape)), STILL


def scale_brightness(crop: Pixels, factor: float, random: np.random.Generator) -> tuple[Pixels, FloatArray]:
    """Multiply the pixels; what exceeds white is white."""
    # A whole factor would keep the pixels uint8, and white would wrap round to black.
    return _rounded(crop.astype(np.float64) * factor), STILL


def jitter(crop: Pixels, share: float, random: np.random.Generator) -> tuple[Pixels, FloatArray]:
    """Cut the crop by a box that is shifted by up to ``share`` of its sides and resized by up to that share."""
    height, width = crop.shape[:2]
    right, down, larger = share * random.uniform(-1, 1, 3)
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    zoom = 1 / (1 + larger)
    shift = center - zoom * (center + np.array([right * width, down * height]))
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    moved = cv2.warpAffine(crop, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8), matrix


def cover(crop: Pixels, share: float, random: np.random.Generator) -> tuple[Pixels, FloatArray]:
    """Cover a rectangle of the crop's own proportions, anywhere inside it."""
    height, width = crop.shape[:2]
    tall, wide = round(height * share**0.5), round(width * share**0.5)
    top, left = (int(random.uniform() * (room + 1)) for room in (height - tall, width - wide))
    crop[top : top + tall, left : left + wide] = COVER
    return crop, STILL


def lower_resolution(crop: Pixels, height: float, random: np.random.Generator) -> tuple[Pixels, FloatArray]:
    """Average the crop down to a height and enlarge it again, bicubically."""
    full = crop.shape[1], crop.shape[0]
    size = max(1, round(full[0] * height / full[1])), int(height)
    low = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(low, full, interpolation=cv2.INTER_CUBIC), np.uint8), STILL


def _rounded(values: NDArray[np.floating[Any]]) -> Pixels:
    pixels: Pixels = np.rint(values).clip(0, 255).astype(np.uint8)
    return pixels
