"""Boxes as people have them: arrays of one layout or the other, with or without scores and classes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cmsa.data.boxes import BoxesError, list_boxes, plain_numbers
from cmsa.inference.detectors.detections import Detections
from cmsa.structures import Box

BoxFormat = Literal["xywh", "xyxy"]


class HasCorners(Protocol):
    """What supervision's ``Detections`` have of all."""

    @property
    def xyxy(self) -> NDArray[Any]:
        """(N, 4): left, top, right and bottom."""


_COLUMNS = 4, 5, 6
_KINDS = "four numbers, five with a score, or six with a score and a class"
_BEYOND = 0.1
"""How far a box may reach beyond the picture, as a share of its side, before its layout is doubted."""


def given_boxes(
    boxes: Any, format: BoxFormat = "xywh", size: tuple[int, int] | None = None, source: str = "given"
) -> Detections:
    """Boxes from an array.

    Args:
        boxes: (N, 4) numbers; (N, 5) with a score; (N, 6) with a score and a class number; or what has ``xyxy``,
            ``confidence`` and ``class_id``, as ``supervision.Detections`` does.
        format: ``xywh``: x, y, width, height; ``xyxy``: x and y of two opposite corners, left top and right bottom.
        size: (height, width) of the picture, if known. Boxes that leave it as ``xywh`` and are within it as ``xyxy``
            are an error and not a guess.
        source: what results call these boxes.

    Raises:
        BoxesError: the array has another shape or is not of numbers, a number is not finite, a box has no area, a score
            is not 0 to 1, all boxes are shares of the picture and not pixels, or the layout is not the one that was
            named.

    Examples:
        >>> found = given_boxes([[10, 20, 40, 90, 0.8]], "xyxy")
        >>> found.boxes, found.scores
        ((Box(x=10.0, y=20.0, width=30.0, height=70.0),), (0.8,))
    """
    if hasattr(boxes, "xyxy"):
        return given_boxes(_supervision_table(boxes), "xyxy", size, source)
    table = _table(boxes)
    if format not in ("xywh", "xyxy"):
        raise BoxesError(f"boxes are in the format xywh or xyxy, got {format!r}")
    _check_values(dict(enumerate(map(tuple, table.tolist()))))
    numbers = table[:, :4].copy()
    if format == "xyxy":
        numbers[:, 2:] -= numbers[:, :2]
    empty = np.flatnonzero((numbers[:, 2:] <= 0).any(axis=1))
    if empty.size:
        place = int(empty[0])
        other = format == "xyxy" and table[place, 2:4].min() > 0
        hint = "; as x, y, width, height it is a box: say xywh" if other else ""
        raise BoxesError(f"box {place}, {format} {_text(table[place])}: has no area{hint}")
    if format == "xywh" and size is not None:
        _doubt(numbers.tolist(), size)
    scores = table[:, 4] if table.shape[1] > 4 else np.ones(len(table))
    labels = tuple(f"{number:g}" for number in table[:, 5]) if table.shape[1] > 5 else ("",) * len(table)
    return Detections(tuple(Box(*row) for row in numbers.tolist()), tuple(scores.tolist()), labels, source)


def listed_boxes(boxes: Any, format: BoxFormat = "xywh", size: tuple[int, int] | None = None) -> list[object]:
    """Boxes as ``given_boxes`` takes them, one by one: where some cannot be used, the others can.

    Args:
        boxes: as for ``given_boxes``, a single box too, or ``Detections``.
        format: of the four numbers; ``Box`` and what has ``xyxy`` say it themselves.
        size: as for ``given_boxes``.

    Returns:
        The entries in their order, as x, y, width, height; what is no four, five or six numbers is left as it is.

    Raises:
        BoxesError: it is no list or array of numbers, a score is not 0 to 1, all boxes are shares of the picture and
            not pixels, there is no such format, or the layout is not the one that was named.
    """
    if isinstance(boxes, Detections):
        return list(boxes.boxes)
    if hasattr(boxes, "xyxy"):
        boxes, format = _supervision_table(boxes), "xyxy"
    if format not in ("xywh", "xyxy"):
        raise BoxesError(f"boxes are in the format xywh or xyxy, got {format!r}")
    entries = list_boxes(boxes)
    found = {place: row for place, entry in enumerate(entries) if (row := _row(entry)) is not None}
    usual = {place: row for place, row in found.items() if len(row) in _COLUMNS}
    if entries and not usual and isinstance(boxes, np.ndarray):
        raise BoxesError(f"boxes are an (N, 4), (N, 5) or (N, 6) array of numbers, got the shape {boxes.shape}")
    wrong = next((place for place, row in found.items() if len(row) > max(_COLUMNS)), None)
    if wrong is not None:
        raise BoxesError(f"box {wrong}, {_text(found[wrong], None)}: a box is {_KINDS}, got {len(found[wrong])}")
    _check_values(usual)
    rows = {place: row[:4] for place, row in usual.items()}
    if format == "xyxy":
        corners = rows
        rows = {place: (x, y, right - x, bottom - y) for place, (x, y, right, bottom) in corners.items()}
        if rows and all(min(row[2:]) <= 0 for row in rows.values()):
            place, row = next(iter(corners.items()))
            raise BoxesError(
                f"box {place}, xyxy {_text(row)}, and every other: has no area; say xywh if the last two are width "
                "and height"
            )
    elif size is not None:
        _doubt(list(rows.values()), size)
    return [rows.get(place, entry) for place, entry in enumerate(entries)]


def _row(entry: object) -> tuple[float, ...] | None:
    """The numbers of an entry; None of a ``Box``, and of what is no numbers."""
    return None if isinstance(entry, Box) else plain_numbers(entry)


def _table(boxes: Any) -> NDArray[np.float64]:
    if not isinstance(boxes, Iterable) or isinstance(boxes, str | bytes):
        raise BoxesError(f"boxes are an (N, 4), (N, 5) or (N, 6) array of numbers, got {type(boxes).__name__}")
    rows = [box.xywh if isinstance(box, Box) else box for box in boxes]
    try:
        shape = np.shape(rows)
    except ValueError as error:
        raise BoxesError(f"boxes are an (N, 4), (N, 5) or (N, 6) array of numbers ({error})") from error
    numbers = [plain_numbers(row) for row in rows]
    wrong = next((place for place, row in enumerate(numbers) if row is None), None)
    if len(shape) == 2 and wrong is not None:
        raise BoxesError(f"boxes are an (N, 4), (N, 5) or (N, 6) array of numbers, and box {wrong} is {rows[wrong]!r}")
    if rows and (len(shape) != 2 or shape[1] not in _COLUMNS):
        raise BoxesError(f"boxes are an (N, 4), (N, 5) or (N, 6) array of numbers, got the shape {shape}")
    table = np.array(numbers, dtype=np.float64).reshape(len(rows), -1 if rows else 4)
    endless = np.flatnonzero(~np.isfinite(table[:, :4]).all(axis=1))
    if endless.size:
        raise BoxesError(f"box {endless[0]}, {_text(table[endless[0]])}: every number must be finite")
    return table


def _check_values(rows: Mapping[int, Sequence[float]]) -> None:
    """Refuse scores that are none, and boxes that are shares of the picture."""
    for place, row in rows.items():
        if len(row) > 4 and not 0 <= row[4] <= 1:
            raise BoxesError(f"box {place}, {_text(row)}: its score, the fifth number, must be 0 to 1, got {row[4]:g}")
        if len(row) > 5 and not math.isfinite(row[5]):
            raise BoxesError(f"box {place}, {_text(row)}: its class, the sixth number, must be finite, got {row[5]:g}")
    # Of one pixel in the corner as much would be true, but for its sides.
    shares = all(0 <= number <= 1 for row in rows.values() for number in row[:4])
    if shares and any(0 < number < 1 for row in rows.values() for number in row[2:4]):
        place, row = next(iter(rows.items()))
        raise BoxesError(
            f"box {place}, {_text(row)}: boxes are in pixels, and all numbers of these are 0 to 1: multiply them by "
            "the width and height of the picture"
        )


def _doubt(rows: Sequence[Sequence[float]], size: tuple[int, int]) -> None:
    """Refuse rows that leave the picture as x, y, width, height and are all within it as two corners."""
    height, width = size
    beyond = [
        place
        for place, (x, y, across, down) in enumerate(rows)
        if x + across > width * (1 + _BEYOND) or y + down > height * (1 + _BEYOND)
    ]
    if beyond and all(0 <= x < right <= width + 1 and 0 <= y < bottom <= height + 1 for x, y, right, bottom in rows):
        raise BoxesError(
            f"box {beyond[0]}, {_text(rows[beyond[0]])}: as x, y, width, height it leaves the picture of "
            f"{height}x{width} (HxW) pixels, and as two corners all boxes are within it: say xyxy if they are corners"
        )


def _supervision_table(boxes: Any) -> NDArray[np.float64]:
    corners = np.asarray(boxes.xyxy, dtype=np.float64).reshape(-1, 4)
    columns = [corners]
    confidence, classes = getattr(boxes, "confidence", None), getattr(boxes, "class_id", None)
    if confidence is not None or classes is not None:
        columns.append(np.ones((len(corners), 1)) if confidence is None else np.reshape(confidence, (-1, 1)))
    if classes is not None:
        columns.append(np.reshape(classes, (-1, 1)))
    return np.concatenate(columns, axis=1)


def _text(row: Iterable[float], most: int | None = 4) -> str:
    return "[" + ", ".join(f"{number:g}" for number in list(row)[:most]) + "]"
