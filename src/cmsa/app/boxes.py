"""Boxes on the page: a table that people edit, clicks on the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cmsa.data.boxes import BoxesError, usable_boxes
from cmsa.structures import Box

HEADINGS = ("x", "y", "width", "height")
MOST = 20
"""Boxes on one picture, so that a change stays quick."""

_LEAST_SIDE = 2

Point = tuple[float, float]


def boxes_of_rows(rows: Sequence[Sequence[Any]], size: tuple[int, int]) -> tuple[Box, ...]:
    """The boxes of a table; rows without any number are left out.

    Args:
        rows: x, y, width, height of each box, as numbers or as text.
        size: (height, width) of the picture.

    Raises:
        BoxesError: a row is incomplete, is no box of the picture, or there are more than 20; it is named by its number.
    """
    boxes = []
    for number, row in enumerate(rows, start=1):
        cells = [None if _is_empty(cell) else cell for cell in row]
        if all(cell is None for cell in cells):
            continue
        try:
            given = [float(cell) for cell in cells]  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise BoxesError(f"row {number} of the boxes: needs four numbers, {', '.join(HEADINGS)}") from error
        usable, reasons = usable_boxes([given], *size)
        if reasons:
            raise BoxesError(f"row {number} of the boxes: {reasons[0]}")
        boxes.append(usable[0])
    if len(boxes) > MOST:
        raise BoxesError(f"{len(boxes)} boxes: at most {MOST} are taken here")
    return tuple(boxes)


def rows_of_boxes(boxes: Sequence[Box]) -> list[list[float]]:
    """The table of boxes, rounded to whole tenths of a pixel."""
    return [[round(number, 1) for number in box.xywh] for box in boxes]


def box_between(first: Point, second: Point) -> Box:
    """The box of two opposite corners, whose pixels belong to it.

    Raises:
        BoxesError: it is less than two pixels wide or high.
    """
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(first, second, strict=True))
    width, height = right - left + 1, bottom - top + 1
    if min(width, height) < _LEAST_SIDE:
        raise BoxesError("the two corners are too near to each other: click on opposite corners of the box")
    return Box(left, top, width, height)


def box_at(boxes: Sequence[Box], point: Point) -> int | None:
    """Place of the smallest box that a point lies in, None where there is none."""
    x, y = point
    inside = [
        place
        for place, box in enumerate(boxes)
        if box.x <= x + 0.5 <= box.x + box.width and box.y <= y + 0.5 <= box.y + box.height
    ]
    return min(inside, key=lambda place: boxes[place].width * boxes[place].height, default=None)


def _is_empty(cell: object) -> bool:
    return (
        cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and math.isnan(cell))
    )
