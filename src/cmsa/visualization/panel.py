"""The panel that shows a picture beside the low-resolution crops that the network saw of it.

Every picture here is (H, W, 3) uint8 RGB. Nothing here knows of keypoints or angles: crops come annotated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]

BACKGROUND: Color = (27, 29, 34)
TEXT: Color = (232, 233, 236)
FAINT_TEXT: Color = (150, 154, 163)

_MARGIN = 24
_GAP = 20
_CAPTION_SIZE = 17
_CAPTION_HEIGHT = 34
_PICTURE_SIDES = 560, 1600
"""The shortest and the longest that the long side of the full picture is drawn, in pixels."""
_INSETS_WIDTH = 840
"""Insets may be as wide together as the picture, or at least so wide."""
_LEAST_INSET = 150
"""A crop is to be seen: the long side of an inset, at least, in pixels."""
_MOST_INSETS = 24


@dataclass(frozen=True)
class Label:
    """A line of text.

    Attributes:
        text: what to write.
        position: (x, y) in pixels of the panel.
        size: height of the letters in pixels.
        color: RGB.
        anchor: which point of the text lies at ``position``: the left, centre or right end of its middle line.
    """

    text: str
    position: tuple[float, float]
    size: int = _CAPTION_SIZE
    color: Color = TEXT
    anchor: Literal["left", "center", "right"] = "left"


def check_picture(name: str, picture: Picture) -> None:
    """Raise a ValueError that names ``name`` unless ``picture`` is (H, W, 3) uint8 with at least one pixel."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(f"{name} must be (H, W, 3) uint8 and not empty, got {picture.shape} {picture.dtype}")


def dark_ground(height: int, width: int) -> Picture:
    """What pictures and texts are put on."""
    ground = np.empty((height, width, 3), np.uint8)
    # One row of colours, then whole rows: to copy three numbers at a time takes as long as all the rest.
    ground[0] = BACKGROUND
    ground[1:] = ground[0]
    return ground


def write(picture: Picture, labels: Sequence[Label]) -> Picture:
    """A copy of ``picture`` with ``labels`` written on it."""
    drawn = picture.copy()
    for label in labels:
        _write(drawn, label)
    return drawn


def _write(picture: Picture, label: Label) -> None:
    """Write in place. Pillow copies what it writes on, there and back, and so gets what the letters cover only."""
    text, font = one_line(label.text), _font(label.size)
    anchor = {"left": "lm", "center": "mm", "right": "rm"}[label.anchor]
    x, y = label.position
    left, top, right, bottom = font.getbbox(text, anchor=anchor)
    columns = slice(max(0, math.floor(x + left) - 2), max(0, math.ceil(x + right) + 2))
    rows = slice(max(0, math.floor(y + top) - 2), max(0, math.ceil(y + bottom) + 2))
    part = picture[rows, columns]
    if not part.size:
        return
    image = Image.fromarray(part)
    pen = ImageDraw.Draw(image)
    pen.text((x - columns.start, y - rows.start), text, fill=label.color, font=font, anchor=anchor)
    part[:] = np.asarray(image)


def text_width(text: str, size: int = _CAPTION_SIZE) -> int:
    """Width of ``text`` in pixels."""
    return int(np.ceil(_font(size).getlength(one_line(text))))


def one_line(text: str) -> str:
    """The text with a space for each character that breaks a line or cannot be drawn."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def size_text(picture: Picture) -> str:
    """Height and width of a picture, as captions say it."""
    return f"{picture.shape[0]}\N{MULTIPLICATION SIGN}{picture.shape[1]}"


def enlarge(crop: Picture, side: int) -> tuple[Picture, int]:
    """Enlarge a crop so that its pixels stay visible: each becomes a square.

    Args:
        crop: (H, W, 3).
        side: the longest side to stay within, if a whole factor can.

    Returns:
        The enlarged crop, and the whole factor (at least 1). A point ``p`` of the crop, pixel centres at integers,
        is at ``factor * (p + 0.5) - 0.5`` in the enlarged one.
    """
    factor = max(1, side // max(crop.shape[:2]))
    return _squares(crop, factor), factor


def in_panel(picture: Picture) -> tuple[Picture, float]:
    """A picture at the size at which a panel shows it, its long side within 560 to 1600 pixels, and the factor."""
    check_picture("picture", picture)
    least, most = _PICTURE_SIDES
    side = max(picture.shape[:2])
    factor = min(max(side, least), most) / side
    return _resize(picture, factor), factor


def insets_that_fit(picture: Picture, inset: Picture, text: str) -> int:
    """How many insets like this one, and captions, a panel has room for where each crop is to be seen; 1 to 24.

    Args:
        picture: as ``in_panel`` gives it.
        inset: one of them.
        text: of its caption.
    """
    height, width = picture.shape[:2]
    reduced: float = min(1.0, _LEAST_INSET / max(inset.shape[:2]))
    rows: int = (height + _CAPTION_HEIGHT) // round(reduced * inset.shape[0] + _CAPTION_HEIGHT)
    columns: int = max(width, _INSETS_WIDTH) // (max(round(reduced * inset.shape[1]), text_width(text)) + _GAP)
    return min(max(1, rows) * max(1, columns), _MOST_INSETS)


def draw_panel(picture: Picture, insets: Sequence[tuple[Picture, str]], caption: str = "") -> Picture:
    """The full picture at left, crops with captions at right, on a dark ground.

    Args:
        picture: the annotated full picture. It is scaled as ``in_panel`` does.
        insets: (crop, caption) pairs, in reading order. Each crop is scaled to its place in a grid, by a whole
            factor with visible pixels where it is much smaller than that place. None at all gives the picture alone.
        caption: written under the picture.

    Returns:
        A new picture, larger than the given one.

    Raises:
        ValueError: a picture is not (H, W, 3) uint8, or is empty.
    """
    check_picture("picture", picture)
    for index, (crop, _) in enumerate(insets):
        check_picture(f"insets[{index}]", crop)
    left, _ = in_panel(picture)
    height, width = left.shape[:2]
    wide = max(width, _INSETS_WIDTH)
    columns, cell_height, cell_width = _grid(insets, height + _CAPTION_HEIGHT, wide)
    right_width = columns * (cell_width + _GAP)
    canvas = dark_ground(2 * _MARGIN + height + _CAPTION_HEIGHT, 2 * _MARGIN + width + right_width)
    canvas[_MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width] = left
    caption_middle = _CAPTION_HEIGHT * 0.58
    labels = [Label(caption, (_MARGIN, _MARGIN + height + caption_middle), color=FAINT_TEXT)]
    for index, (crop, text) in enumerate(insets):
        row, column = divmod(index, columns)
        inset = _fit(crop, cell_height, cell_width)
        x = _MARGIN + width + _GAP + column * (cell_width + _GAP) + (cell_width - inset.shape[1]) // 2
        y = _MARGIN + row * (cell_height + _CAPTION_HEIGHT)
        canvas[y : y + inset.shape[0], x : x + inset.shape[1]] = inset
        labels.append(Label(text, (x + inset.shape[1] / 2, y + inset.shape[0] + caption_middle), anchor="center"))
    return write(canvas, labels)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Pillow's own font lacks the multiplication sign; matplotlib, which is here for the plots, brings DejaVu.
    from matplotlib import get_data_path

    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def _grid(insets: Sequence[tuple[Picture, str]], height: int, width: int) -> tuple[int, int, int]:
    """Columns, and the cells' height and width, that show the crops largest in at most ``height`` x ``width``."""
    if not insets:
        return 0, 0, 0
    aspect = max(crop.shape[1] / crop.shape[0] for crop, _ in insets)
    # Every caption has room, even under a narrow crop.
    caption = max(text_width(text) for _, text in insets)
    best = (1, 1, 1)
    for columns in range(1, len(insets) + 1):
        rows = -(-len(insets) // columns)
        if columns > 1 and columns * (caption + _GAP) > width:
            break
        cell_height = min(height / rows - _CAPTION_HEIGHT, (width / columns - _GAP) / aspect)
        if cell_height > best[1]:
            best = columns, int(cell_height), int(cell_height * aspect)
    columns, cell_height, cell_width = best
    return columns, int(cell_height), max(int(cell_width), caption)


def _fit(crop: Picture, height: int, width: int) -> Picture:
    """Scale into ``height`` x ``width``; a small crop by a whole factor first, so that its pixels stay square."""
    room = min(height / crop.shape[0], width / crop.shape[1])
    if room >= 2:
        factor = int(room)
        crop = _squares(crop, factor)
        room /= factor
    return _resize(crop, room)


def _squares(picture: Picture, factor: int) -> Picture:
    """Each pixel becomes ``factor`` x ``factor`` of its colour."""
    size = picture.shape[1] * factor, picture.shape[0] * factor
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _resize(picture: Picture, factor: float) -> Picture:
    if factor == 1:
        return picture
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)
