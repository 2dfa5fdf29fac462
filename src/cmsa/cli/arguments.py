"""What arguments of several commands mean."""

from __future__ import annotations

import argparse

Size = tuple[int, int]


def parse_size(text: str) -> Size:
    """``32x24`` as (height, width)."""
    try:
        height, width = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, e.g. 32x24") from None
    return height, width


def parse_box(text: str) -> tuple[float, ...]:
    """``x,y,width,height`` as four numbers."""
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y,width,height in pixels")
    return numbers
