"""Boxes as people have them: arrays of one layout or the other, with or without scores and classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cmsa.data.boxes import BoxesError, list_boxes
from cmsa.inference.detectors.detections import Detections
from cmsa.structures import Box

BoxFormat = Literal["xywh", "xyxy"]


class HasCorners(Protocol):
    """What supervision's ``Detections`` have of all."""

    @property
    def xyxy(self) -> NDArray[Any]:
        """(N, 4): left, top, right and bottom."""


_COLUMNS = 4, 5, 6
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
        BoxesError: the array has another shape, a number is not finite, a box has no area, or the layout is not the
            one that was named.

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
    """Boxes as :func:`given_boxes` takes them, one by one: where some cannot be used, the others can.

    Args:
        boxes: as for :func:`given_boxes`, a single box too, or ``Detections``.
        format: of the four numbers; ``Box`` and what has ``xyxy`` say it themselves.
        size: as for :func:`given_boxes`.

    Returns:
        The entries in their order, as x, y, width, height; what is no four, five or six numbers is left as it is.

    Raises:
        BoxesError: it is no list or array, there is no such format, or the layout is not the one that was named.
    """
    if isinstance(boxes, Detections):
        return list(boxes.boxes)
    if hasattr(boxes, "xyxy"):
        boxes, format = _supervision_table(boxes), "xyxy"
    if format not in ("xywh", "xyxy"):
        raise BoxesError(f"boxes are in the format xywh or xyxy, got {format!r}")
    entries = list_boxes(boxes)
    rows = {place: row for place, entry in enumerate(entries) if (row := _row(entry)) is not None}
    if entries and not rows and isinstance(boxes, np.ndarray):
        raise BoxesError(f"boxes are an (N, 4), (N, 5) or (N, 6) array, got the shape {boxes.shape}")
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
    """The first four of four, five or six numbers; None of anything else."""
    if isinstance(entry, Box | str | bytes):
        return None
    try:
        numbers = tuple(float(number) for number in entry)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers[:4] if len(numbers) in _COLUMNS else None


def _table(boxes: Any) -> NDArray[np.float64]:
    try:
        table = np.array([box.xywh if isinstance(box, Box) else box for box in boxes], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BoxesError(f"boxes are an (N, 4), (N, 5) or (N, 6) array of numbers ({error})") from error
    if table.size == 0:
        return np.zeros((0, 4))
    if table.ndim != 2 or table.shape[1] not in _COLUMNS:
        raise BoxesError(f"boxes are an (N, 4), (N, 5) or (N, 6) array, got the shape {table.shape}")
    wrong = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if wrong.size:
        raise BoxesError(f"box {wrong[0]}, {_text(table[wrong[0]])}: every number must be finite")
    return table


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


def _text(row: Iterable[float]) -> str:
    return "[" + ", ".join(f"{number:g}" for number in list(row)[:4]) + "]"
