"""Boxes with names, drawn on a picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from cmsa.structures import Box
from cmsa.visualization.panel import Color, Label, Picture, text_width, write

_BOX: Color = (235, 236, 240)
_INK: Color = (20, 20, 24)
_LEAST_LETTERS = 12


def draw_boxes(image: Picture, boxes: Sequence[Box], names: Sequence[str]) -> Picture:
    """Draw boxes with a name at the top left corner of each.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: in its pixels.
        names: one short text for each box, or an empty one.

    Returns:
        The annotated copy. Letters are about an eighth as high as the box, within 1/90 and 1/45 of the picture.
    """
    canvas = image.copy()
    tags = []
    for box, name in zip(boxes, names, strict=True):
        size = _letters(max(box.width, box.height), max(image.shape[:2]))
        # A box's edges lie half a pixel outside of the centres of its border pixels.
        left, top = round(box.x), round(box.y)
        right, bottom = round(box.x + box.width) - 1, round(box.y + box.height) - 1
        cv2.rectangle(canvas, (left, top), (right, bottom), _BOX, max(1, round(size / 14)), cv2.LINE_AA)
        if not name:
            continue
        tag_width, tag_height = text_width(name, size) + size // 2 + 2, round(1.4 * size)
        # Above the box, as far as there is room, so that a small person stays visible.
        tag_left = min(max(0, left), max(0, image.shape[1] - tag_width))
        tag_top = max(0, top - tag_height)
        cv2.rectangle(canvas, (tag_left, tag_top), (tag_left + tag_width, tag_top + tag_height), _BOX, -1)
        tags.append(Label(name, (tag_left + tag_width / 2, tag_top + tag_height / 2), size, _INK, "center"))
    return write(canvas, tags)


def _letters(box_side: float, picture_side: int) -> int:
    """Height of letters: as the box is, but neither lost nor large in the picture."""
    least = max(_LEAST_LETTERS, picture_side / 90)
    return round(min(max(box_side / 8, least), max(_LEAST_LETTERS + 2, picture_side / 45)))
