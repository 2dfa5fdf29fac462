"""Pictures enlarged or reduced, and where values go then. Pixel centres are at integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from cmsa.geometry.affine import apply_affine
from cmsa.structures import Box, FloatArray, HeadPose, Keypoints
from cmsa.visualization.panel import Picture, check_picture

READABLE_SIDE = 480
"""Pixels. Pictures whose long side is shorter are enlarged before something is drawn on them."""
_HEAD_SHARE = 0.8
"""Heads are drawn smaller in a crop than in the picture, so that the axes' tips stay inside."""


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


def head_in_crop(head: HeadPose, matrix: FloatArray, factor: int) -> HeadPose:
    """A head as it is drawn in its crop.

    Args:
        head: in pixels of the picture.
        matrix: 2x3, picture to crop.
        factor: pixels that each of the crop's has become.
    """
    x, y = scale_points(apply_affine(matrix, np.array(head.box.center)), factor)
    scale = _HEAD_SHARE * factor
    width, height = scale * head.box.width * matrix[0, 0], scale * head.box.height * matrix[1, 1]
    return replace(head, box=Box(x - (width - 1) / 2, y - (height - 1) / 2, width, height))
