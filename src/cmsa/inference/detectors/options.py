"""Options of detectors as they are written behind a name: ``FILE.onnx?score=0.4&classes=0,2``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cmsa.guidance.suggestion import no_such
from cmsa.inference.detectors.detections import DetectorError

Reader = Callable[[str], Any]
"""Text -> value; a ValueError says what the value must be."""


def split_options(text: str) -> tuple[str, str]:
    """What is written before the question mark and behind it; a file whose own name holds one is a file."""
    if Path(text).is_file():
        return text, ""
    name, _, options = text.partition("?")
    return name, options


def whole(least: int = 1) -> Reader:
    """A reader of whole numbers from ``least``."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ValueError(f"a whole number from {least}")
        return int(text)

    return read


def number(most: float = math.inf) -> Reader:
    """A reader of numbers from 0 to ``most``, or of positive ones where there is no such bound."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (0 <= value <= most and (value > 0 or most < math.inf) and value < math.inf):
            raise ValueError("a positive number" if most == math.inf else f"a number from 0 to {most:g}")
        return value

    return read


def classes(text: str) -> tuple[int, ...]:
    """Class numbers with commas; ``all`` for every one."""
    numbers = text.split(",")
    if text != "all" and not all(one.isdecimal() for one in numbers):
        raise ValueError("class numbers from 0, as in 0,2, or all")
    return () if text == "all" else tuple(map(int, numbers))


def size(text: str) -> tuple[int, int]:
    """``416x320``: height and width."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ValueError("HEIGHTxWIDTH in pixels, e.g. 416x416")
    return int(sides[0]), int(sides[1])


def read_options(readers: Mapping[str, Reader], given: Mapping[str, str], name: str) -> dict[str, Any]:
    """Options as they are written -> their values.

    Args:
        readers: of the options that there are.
        given: what is written.
        name: of the detector, for messages.

    Raises:
        DetectorError: there is no such option, or its value is not what it must be.
    """
    values = {}
    for key, text in given.items():
        if key not in readers:
            raise DetectorError(f"{name}: {no_such('option', key, readers)}")
        try:
            values[key] = readers[key](text)
        except ValueError as error:
            raise DetectorError(f"{name}: {key} must be {error}, got {text!r}") from error
    return values
