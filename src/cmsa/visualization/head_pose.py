"""Image + head pose -> annotated image: the three axes of the head, or a cube that turns with it.

Drawn without perspective, as everyone in the field does: the first two rows of the rotation matrix are where the axes
point in the image. The nose axis goes to the image's left for yaw > 0 and up for pitch > 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from cmsa.geometry.rotations import euler_to_matrix
from cmsa.structures import FloatArray, HeadPose
from cmsa.visualization.panel import Color, Picture
from cmsa.visualization.scaling import READABLE_SIDE, readable, scale_value
from cmsa.visualization.subpixel import SUBPIXEL_BITS, fixed_points

SIDE_COLOR: Color = (235, 64, 52)
"""The axis that points to the image's right at rest, which is the person's left."""
DOWN_COLOR: Color = (88, 200, 80)
"""The axis that points down at rest."""
NOSE_COLOR: Color = (64, 132, 255)
"""The axis of the nose, towards the viewer at rest."""

_AXIS_COLORS = (SIDE_COLOR, DOWN_COLOR, NOSE_COLOR)
_EDGE_COLOR: Color = (190, 194, 204)
_OUTLINE: Color = (20, 20, 24)


def draw_axes(image: Picture, heads: Sequence[HeadPose], *, readable_side: int = READABLE_SIDE) -> Picture:
    """Draw each head's axes from the centre of its box: nose blue, down green, side red.

    Args:
        image: (H, W, 3) uint8 RGB, the picture whose pixels the heads' boxes are in.
        heads: may be empty.
        readable_side: a picture whose long side is shorter is first enlarged by the least whole factor that
            reaches it; 0 keeps the size.

    Returns:
        (factor * H, factor * W, 3) uint8 RGB, a new picture. An axis seen from the side is as long as 0.6 of the box.

    Raises:
        ValueError: ``image`` is not (H, W, 3) uint8, or is empty.
    """
    canvas, factor = readable(image, readable_side)
    for head in (scale_value(one, factor) for one in heads):
        center, side = np.array(head.box.center), max(head.box.width, head.box.height)
        tips = _matrix(head).T
        width = _line_width(side, max(canvas.shape[:2]))
        # What points at the viewer is drawn over what points away.
        for axis in sorted(range(3), key=lambda axis: float(tips[axis, 2])):
            tip = center + 0.6 * side * tips[axis, :2]
            _arrow(canvas, center, tip, _AXIS_COLORS[axis], width)
    return canvas


def draw_cube(image: Picture, heads: Sequence[HeadPose], *, readable_side: int = READABLE_SIDE) -> Picture:
    """Draw a cube around each head; its blue face is the one that the nose points through.

    Arguments, result and errors are those of ``draw_axes``. The cube's side is 0.7 of the box's longer one.
    """
    canvas, factor = readable(image, readable_side)
    for head in (scale_value(one, factor) for one in heads):
        center, side = np.array(head.box.center), max(head.box.width, head.box.height)
        matrix = _matrix(head)
        corners = [np.array(signs) for signs in itertools.product((-1.0, 1.0), repeat=3)]
        edges = [(a, b) for a, b in itertools.combinations(corners, 2) if np.abs(a - b).sum() == 2]
        width = _line_width(side, max(canvas.shape[:2]))
        for a, b in sorted(edges, key=lambda edge: float((matrix @ (edge[0] + edge[1]))[2])):
            front = a[2] > 0 and b[2] > 0
            start, end = (center + 0.35 * side * (matrix @ corner)[:2] for corner in (a, b))
            _line(canvas, start, end, NOSE_COLOR if front else _EDGE_COLOR, width if front else max(1, width // 2))
    return canvas


def _matrix(head: HeadPose) -> FloatArray:
    angles = torch.tensor([head.yaw, head.pitch, head.roll], dtype=torch.float64)
    return np.asarray(euler_to_matrix(angles).numpy(), dtype=np.float64)


def _line_width(head_side: float, picture_side: float) -> int:
    """2 % of the head, but to be seen in a large picture, and at most 5 % of the head."""
    return max(1, round(min(max(0.02 * head_side, picture_side / 800), picture_side / 60, 0.05 * head_side)))


def _line(canvas: Picture, start: FloatArray, end: FloatArray, color: Color, width: int) -> None:
    first, last = fixed_points(np.stack([start, end]))
    for paint, thickness in ((_OUTLINE, width + 2 * max(1, width // 3)), (color, width)):
        cv2.line(canvas, first, last, paint, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def _arrow(canvas: Picture, start: FloatArray, tip: FloatArray, color: Color, width: int) -> None:
    _line(canvas, start, tip, color, width)
    (center,) = fixed_points(tip[None])
    for paint, radius in ((_OUTLINE, 1.5 * width + 1), (color, 1.5 * width)):
        cv2.circle(canvas, center, round(radius * 2**SUBPIXEL_BITS), paint, -1, cv2.LINE_AA, SUBPIXEL_BITS)
