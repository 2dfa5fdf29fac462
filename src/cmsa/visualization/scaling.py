"""Pictures enlarged or reduced, and where values go then. Pixel centres are at integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from cmsa.structures import Box, FloatArray, Keypoints
from cmsa.visualization.panel import Picture, check_picture


def readable(image: Picture, side: int) -> tuple[Picture, int]:
    """A copy enlarged by the least whole factor that makes its long side reach ``side``, and the factor.

    Raises:
        ValueError: ``image`` is not (H, W, 3) uint8, or is empty.
    """
    check_picture("image", image)
    factor = max(1, -(-side // max(image.shape[:2])))
    if factor == 1:
        return image.copy(), 1
    size = image.shape[1] * factor, image.shape[0] * factor
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8), factor


def scale_points(points: FloatArray, factor: float) -> FloatArray:
    """Points (..., 2) of a picture in the one that is ``factor`` times as large."""
    return factor * (points + 0.5) - 0.5


def scale_box(box: Box, factor: float) -> Box:
    """A box of a picture in the one that is ``factor`` times as large."""
    return Box(*(factor * number for number in box.xywh))


def scale_value(value: Any, factor: float) -> Any:
    """A value, with its box and its keypoints where they are in the picture that is ``factor`` times as large."""
    if factor == 1:
        return value
    box = scale_box(value.box, factor)
    if isinstance(value, Keypoints):
        return replace(value, xy=scale_points(value.xy, factor), box=box)
    return replace(value, box=box)
