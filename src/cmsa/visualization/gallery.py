"""Crops with what is drawn on them, alone or beside each other, in rows that have a heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cmsa.visualization.panel import FAINT_TEXT, Label, Picture, dark_ground, text_width, write

_MARGIN, _GAP = 24, 6
_HEIGHT = 240
"""Of a drawn crop, in pixels."""
_LINE = 30
_WIDTH = 2600
"""What is wider goes on in the next line."""


@dataclass(frozen=True, eq=False)
class Case:
    """One sample.

    Attributes:
        pictures: one, or those that stand beside each other, such as truth and prediction; (H, W, 3) uint8 RGB.
        caption: below them.
    """

    pictures: Sequence[Picture]
    caption: str


def draw_gallery(rows: Mapping[str, Sequence[Case]], title: str) -> Picture:
    """A picture of all cases, in as many lines as they need.

    Args:
        rows: cases by their heading; at least one.
        title: above all.

    Returns:
        (H', W', 3) uint8 RGB.
    """
    tiles = {heading: [_tile(case) for case in cases] for heading, cases in rows.items()}
    captions = [text_width(case.caption) for cases in rows.values() for case in cases]
    cell = max([*captions, *(tile.shape[1] for row in tiles.values() for tile in row)]) + _MARGIN
    columns = max(1, min(max(map(len, tiles.values())), _WIDTH // cell))
    lines = {heading: max(1, -(-len(cases) // columns)) for heading, cases in rows.items()}
    width = max(columns * cell, text_width(title), *map(text_width, rows)) + 2 * _MARGIN
    height = _LINE * (1 + len(rows)) + sum(lines.values()) * (_HEIGHT + _LINE)
    canvas = dark_ground(2 * _MARGIN + height, width)
    labels = [Label(title, (_MARGIN, _MARGIN + _LINE / 2))]
    top = _MARGIN + _LINE
    for heading, cases in rows.items():
        labels.append(Label(heading, (_MARGIN, top + _LINE / 2), color=FAINT_TEXT))
        top += _LINE
        for number, (case, tile) in enumerate(zip(cases, tiles[heading], strict=True)):
            line, column = divmod(number, columns)
            x, y = _MARGIN + column * cell, top + line * (_HEIGHT + _LINE)
            canvas[y : y + _HEIGHT, x : x + tile.shape[1]] = tile
            labels.append(Label(case.caption, (x, y + _HEIGHT + _LINE / 2)))
        top += lines[heading] * (_HEIGHT + _LINE)
    return write(canvas, labels)


def _tile(case: Case) -> Picture:
    gap = dark_ground(_HEIGHT, _GAP)
    parts = [part for picture in case.pictures for part in (gap, _fit(picture))]
    return np.concatenate(parts[1:], axis=1)


def _fit(picture: Picture) -> Picture:
    factor = _HEIGHT / picture.shape[0]
    size = max(1, round(picture.shape[1] * factor)), _HEIGHT
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)
