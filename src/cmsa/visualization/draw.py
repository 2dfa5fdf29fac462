"""Predictions drawn on a picture that keeps its size: what users call, and what becomes the frames of a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cmsa.structures import Box, ClassScores, HeadPose, Keypoints, Value
from cmsa.visualization.boxes import draw_boxes
from cmsa.visualization.head_pose import draw_axes, draw_cube
from cmsa.visualization.keypoints import KEYPOINT_THRESHOLD, draw_keypoints
from cmsa.visualization.panel import Picture, check_picture


def draw(
    image: Picture | Any,
    values: Sequence[Value] | Value,
    identities: Sequence[int | None] | None = None,
    *,
    threshold: float = KEYPOINT_THRESHOLD,
    cube: bool = False,
) -> Picture:
    """Draw predictions: skeletons, the axes of heads, boxes with their most likely class.

    Args:
        image: (H, W, 3) uint8 RGB, or what ``numpy.asarray`` makes one of, such as an RGB picture of PIL.
        values: one or N predictions for this picture, of any kinds; of other kinds than these the box is drawn.
        identities: N ids of people that are tracked, None for no id; they are written at the boxes.
        threshold: keypoints that score less are left out.
        cube: draw heads as cubes instead of axes.

    Returns:
        A new picture of the same size.

    Raises:
        ValueError: the image is of another shape or type, or there is another number of ids than of values.

    Examples:
        >>> import numpy as np
        >>> from cmsa import Box, HeadPose
        >>> picture = np.zeros((60, 80, 3), np.uint8)
        >>> drawn = draw(picture, HeadPose(20, 0, 0, Box(20, 10, 40, 40)))
        >>> drawn.shape, bool(drawn.any()), bool(picture.any())
        ((60, 80, 3), True, False)
    """
    picture: Picture = np.asarray(image)
    check_picture("image", picture)
    listed: list[Any] = list(values) if isinstance(values, Sequence) else [values]
    ids = [None] * len(listed) if identities is None else list(identities)
    if len(ids) != len(listed):
        raise ValueError(f"each value needs an id or None, got {len(listed)} values and {len(ids)} ids")
    people = [value for value in listed if isinstance(value, Keypoints)]
    heads = [value for value in listed if isinstance(value, HeadPose)]
    drawn = draw_keypoints(picture, people, threshold, readable_side=0)
    if heads:
        drawn = (draw_cube if cube else draw_axes)(drawn, heads, readable_side=0)
    boxes: list[Box] = []
    names: list[str] = []
    for value, identity in zip(listed, ids, strict=True):
        name = " ".join(filter(None, ["" if identity is None else str(identity), _text(value)]))
        if name or not isinstance(value, Keypoints | HeadPose):
            boxes.append(value.box)
            names.append(name)
    return draw_boxes(drawn, boxes, names) if boxes else drawn


def _text(value: Value) -> str:
    if not isinstance(value, ClassScores):
        return ""
    name, share = value.top(1)[0]
    return f"{name} {share:.0%}"
