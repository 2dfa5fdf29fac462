"""Small pictures with captions in rows, and heat laid over a picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cmsa.visualization.panel import FAINT_TEXT, Color, Label, Picture, dark_ground, text_width, write

MARK: Color = (72, 255, 120)
"""The pixel that was clicked."""
LIMITS: Color = (255, 255, 255)

_GAP = 14
_CAPTION, _CAPTION_HEIGHT = 14, 26

Tile = tuple[Picture, str]


def lay_tiles(rows: Sequence[Sequence[Tile]]) -> Picture:
    """Rows of pictures (H, W, 3) uint8 RGB with captions below them, on a dark ground.

    Every place is as large as the largest picture, or as its caption needs.
    """
    tiles = [tile for row in rows for tile in row]
    height = max(tile.shape[0] for tile, _ in tiles)
    width = max(max(tile.shape[1], text_width(caption, _CAPTION)) for tile, caption in tiles)
    columns = max(len(row) for row in rows)
    canvas = dark_ground(_GAP + len(rows) * (height + _CAPTION_HEIGHT + _GAP // 2), _GAP + columns * (width + _GAP))
    labels = []
    for line, row in enumerate(rows):
        top = _GAP + line * (height + _CAPTION_HEIGHT + _GAP // 2)
        for column, (picture, caption) in enumerate(row):
            left = _GAP + column * (width + _GAP) + (width - picture.shape[1]) // 2
            canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
            middle = _GAP + column * (width + _GAP) + width / 2
            labels.append(
                Label(caption, (middle, top + height + _CAPTION_HEIGHT * 0.5), _CAPTION, FAINT_TEXT, "center")
            )
    return write(canvas, labels)


def heat_over(picture: Picture, heat: NDArray[np.floating], factor: int) -> Picture:
    """A picture in dim grey under heat, enlarged.

    Args:
        picture: (H, W, 3) uint8 RGB.
        heat: (h, w) from 0 to 1, stretched over the picture edges to edges; its cells stay visible.
        factor: pixels become squares of this side.
    """
    height, width = picture.shape[0] * factor, picture.shape[1] * factor
    stretched = cv2.resize(
        np.ascontiguousarray(heat, dtype=np.float32), (width, height), interpolation=cv2.INTER_NEAREST
    )
    stretched = stretched.clip(0, 1)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).repeat(factor, axis=0).repeat(factor, axis=1)
    colors = cv2.applyColorMap((stretched * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    share = np.sqrt(stretched)[:, :, None] * 0.85
    return np.asarray(np.rint(grey[:, :, None] * 0.55 * (1 - share) + colors * share), np.uint8)


def outline(picture: Picture, corners: tuple[float, float, float, float], color: Color, width: int = 2) -> Picture:
    """A copy with a rectangle: left, top, right and bottom edges in pixels of the picture, drawn inside of them."""
    left, top, right, bottom = (round(number) for number in corners)
    copy = picture.copy()
    cv2.rectangle(copy, (left, top), (max(left, right - 1), max(top, bottom - 1)), color, width)
    return copy
