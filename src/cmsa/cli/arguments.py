"""What arguments of several commands mean."""

from __future__ import annotations

import argparse
import math

Size = tuple[int, int]
LARGEST_SIDE = 4096
LARGEST_COUNT = 1_000_000_000


def parse_size(text: str) -> Size:
    """``32x24`` as (height, width)."""
    try:
        height, width = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, e.g. 32x24") from None
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise argparse.ArgumentTypeError(f"{text!r}: height and width must be 1 to {LARGEST_SIDE}")
    return height, width


def parse_count(text: str) -> int:
    """A whole number from 1."""
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 to {LARGEST_COUNT:,}")
    return count


def parse_workers(text: str) -> int:
    """A whole number of threads or processes, 0 for none besides the caller's."""
    return 0 if text == "0" else parse_count(text)


def parse_positive(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def parse_box(text: str) -> tuple[float, ...]:
    """``x,y,width,height`` as four numbers."""
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y,width,height in pixels")
    return numbers
