"""The boxes of a request: JSON that names their layout -> boxes of the picture."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from cmsa.data.boxes import BoxesError
from cmsa.files.read_json import JsonError, refuse_repeated
from cmsa.inference.detectors import Detections, given_boxes
from cmsa.serve.refusal import Refusal

Layout = Literal["xywh", "xyxy"]
LAYOUTS: dict[Layout, str] = {"xywh": "x, y, width, height", "xyxy": "left, top, right, bottom"}
FARTHEST = 1e6
"""Pixels from the picture's corner. Farther out no picture reaches, and differences lose their digits."""

_SHOWN = 60
_LONGEST = 200
"""Letters for each box: five numbers of full precision, and spaces."""


@dataclass(frozen=True)
class NamedBoxes:
    """Boxes as they were sent.

    Attributes:
        layout: what their four numbers mean.
        rows: four numbers each, or all with a score as the fifth.
    """

    layout: Layout
    rows: list[list[float]]

    def of_picture(self, height: int, width: int) -> Detections:
        """The boxes in a picture of ``height`` x ``width`` pixels.

        Raises:
            Refusal: a box has no area, or the layout is not the one that was named.
        """
        try:
            return given_boxes(self.rows, self.layout, (height, width))
        except BoxesError as error:
            raise Refusal(422, str(error), f"boxes.{self.layout}") from error


def read_boxes(text: str, most: int) -> NamedBoxes:
    """Read the boxes of a request.

    Args:
        text: JSON: ``{"xywh": [[x, y, width, height], ...]}`` or ``{"xyxy": [[left, top, right, bottom], ...]}``, in
            pixels of the picture after its EXIF turn. A fifth number of each is its score.
        most: boxes that are taken.

    Raises:
        Refusal: it is something else; which entry is said.
    """
    if len(text) > _LONGEST * (most + 1):
        raise Refusal(422, f"{len(text)} letters are more than {most} boxes need", "boxes")
    try:
        given = json.loads(text, parse_constant=_no_constant, object_pairs_hook=refuse_repeated)
    except RecursionError as error:
        raise Refusal(422, "is nested too deeply", "boxes") from error
    except JsonError as error:
        raise Refusal(422, str(error), "boxes") from error
    except ValueError as error:
        raise Refusal(422, f"is not JSON ({error})", "boxes") from error
    layout = next(iter(given), None) if isinstance(given, dict) and len(given) == 1 else None
    if layout not in LAYOUTS:
        ways = " or ".join(f'{{"{name}": [[{numbers}], ...]}}' for name, numbers in LAYOUTS.items())
        raise Refusal(422, f"must name their layout: {ways}; got {_short(given)}", "boxes")
    rows = given[layout]
    where = f"boxes.{layout}"
    if not isinstance(rows, list):
        raise Refusal(422, f"must be a list of boxes, got {_short(rows)}", where)
    if len(rows) > most:
        raise Refusal(422, f"{len(rows)} boxes are more than the {most} that are taken here", where)
    for place, row in enumerate(rows):
        _check_row(row, LAYOUTS[layout], f"{where}[{place}]")
        if len(row) != len(rows[0]):
            raise Refusal(
                422, "some boxes have a score as their fifth number and others have none", f"{where}[{place}]"
            )
    return NamedBoxes(layout, rows)


def boxes_schema(most: int) -> dict[str, Any]:
    """What ``read_boxes`` takes, as JSON Schema."""

    def layout(name: str, numbers: str) -> dict[str, Any]:
        coordinate = {"type": "number", "minimum": -FARTHEST, "maximum": FARTHEST}
        row = {
            "type": "array",
            "description": f"{numbers}, and perhaps a score from 0 to 1",
            "prefixItems": [coordinate] * 4 + [{"type": "number", "minimum": 0, "maximum": 1}],
            "items": False,
            "minItems": 4,
        }
        return {
            "type": "object",
            "properties": {name: {"type": "array", "items": row, "maxItems": most}},
            "required": [name],
            "additionalProperties": False,
        }

    return {"oneOf": [layout(name, numbers) for name, numbers in LAYOUTS.items()]}


def _check_row(row: object, numbers: str, where: str) -> None:
    if not isinstance(row, list) or len(row) not in (4, 5):
        raise Refusal(422, f"must be four numbers {numbers}, or five with a score; got {_short(row)}", where)
    for number in row:
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise Refusal(422, f"must be numbers, got {_short(number)}", where)
    for number in row[:4]:
        if not abs(number) <= FARTHEST:
            raise Refusal(422, f"must lie within {FARTHEST:g} pixels, got {_short(number)}", where)
    if len(row) == 5 and not 0 <= row[4] <= 1:
        raise Refusal(422, f"the score must be 0 to 1, got {_short(row[4])}", where)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _short(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is too large"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
