"""Points between pixels, as OpenCV takes them: whole numbers of sixteenths."""

from __future__ import annotations

import numpy as np

from cmsa.structures import FloatArray

SUBPIXEL_BITS = 4
"""What OpenCV's functions are told with such points and lengths."""


def fixed_points(points: FloatArray) -> list[tuple[int, int]]:
    """Points (N, 2) in pixels as pairs of sixteenths of a pixel."""
    # OpenCV's coordinates are 32 bit: a point far outside would wrap around into the picture.
    fixed = np.clip(np.rint(points * 2**SUBPIXEL_BITS), -(2**24), 2**24).astype(int)
    return [(x, y) for x, y in fixed.tolist()]
