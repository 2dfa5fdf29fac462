"""What the page shows of a look: the full picture, the crop, heatmaps, angles, classes, and attention.

Pictures are (H, W, 3) uint8 RGB; none is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from cmsa.app.tiles import LIMITS, MARK, heat_over, lay_tiles, outline
from cmsa.models.attention_maps import AttentionMap
from cmsa.structures import Box, FloatArray, HeadPose, Keypoints
from cmsa.visualization.boxes import draw_boxes
from cmsa.visualization.head_pose import DOWN_COLOR, NOSE_COLOR, SIDE_COLOR, draw_axes
from cmsa.visualization.panel import FAINT_TEXT, Color, Label, Picture, dark_ground, enlarge, write
from cmsa.visualization.scaling import head_in_crop, scale_box

Blocks = Literal["last", "first", "mean"]
Pixel = tuple[int, int]
"""(column, row) of a pixel."""

SHOWN_SIDE = 960
"""The longest that the full picture's long side is shown, in pixels."""
CROP_SIDE = 448
CHOSEN: Color = (255, 166, 43)

_TILE_SIDE = 168
_COLUMNS = 9
_GAUGE = 60
_HEAD_SIDE = 288
_EVEN = 1.5
"""Of a head whose attention is even over all keys, each is shown at 1 / 1.5 of full heat at most."""


def show_picture(
    picture: Picture,
    shape: tuple[int, int],
    boxes: Sequence[Box],
    names: Sequence[str],
    chosen: int,
    corner: Pixel | None,
) -> Picture:
    """The annotated picture with numbered boxes, the chosen one in orange, at most 960 pixels long.

    Args:
        picture: with all that a task draws; some whole number of times as large as the photo.
        shape: (H, W) of the photo.
        boxes: in pixels of the photo.
        names: one for each box.
        chosen: place of the box that is looked at.
        corner: the first corner of a box that is being drawn.
    """
    factor = picture.shape[0] // shape[0]
    drawn = draw_boxes(picture, [scale_box(box, factor) for box in boxes], names) if boxes else picture.copy()
    width = max(2, round(max(drawn.shape[:2]) / 300))
    if boxes:
        x, y, wide, high = (number * factor for number in boxes[chosen].xywh)
        drawn = outline(drawn, (x, y, x + wide, y + high), CHOSEN, width)
    if corner is not None:
        place = round((corner[0] + 0.5) * factor), round((corner[1] + 0.5) * factor)
        cv2.drawMarker(drawn, place, MARK, cv2.MARKER_CROSS, 12 * width, width, cv2.LINE_AA)
    side = max(drawn.shape[:2])
    if side <= SHOWN_SIDE:
        return drawn
    size = tuple(max(1, round(drawn.shape[axis] * SHOWN_SIDE / side)) for axis in (1, 0))
    return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)


def show_crop(crop: Picture, pixel: Pixel | None = None) -> Picture:
    """A crop with its pixels visible, and a frame about one of them."""
    large, factor = enlarge(crop, CROP_SIDE)
    if pixel is None:
        return large
    column, row = pixel
    frame = (column * factor, row * factor, (column + 1) * factor, (row + 1) * factor)
    return outline(large, frame, MARK, max(2, factor // 6))


def show_heatmaps(given: Picture, maps: FloatArray, value: Keypoints) -> Picture:
    """One tile for each keypoint: its heatmap over what the network was given, and its score.

    Args:
        given: (H, W, 3).
        maps: (K, h, w) with peaks about 1.
        value: the names and scores of the K keypoints.
    """
    factor = max(1, _TILE_SIDE // given.shape[0])
    strongest = maps.max(axis=0)
    tiles = [(heat_over(given, strongest / max(1e-6, strongest.max()), factor), "all, strongest")]
    for heat, name, score in zip(maps, value.names, value.scores, strict=True):
        shown = f"{name.replace('_', ' ')} {score:.2f}"
        # Each by its own peak, or what is unsure would not be seen.
        tiles.append((heat_over(given, heat.clip(0, None) / max(1e-6, float(heat.max())), factor), shown))
    return lay_tiles([tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)])


def show_head(given: Picture, matrix: FloatArray, value: HeadPose) -> Picture:
    """The axes of a head over what the network was given, and its angles on three scales."""
    large, factor = enlarge(given, _HEAD_SIDE)
    drawn = draw_axes(large, [head_in_crop(value, matrix, factor)], readable_side=0)
    gauges = dark_ground(drawn.shape[0], 420)
    labels = []
    # Each in the colour of the axis that the head turns about.
    rows = (("yaw", value.yaw, DOWN_COLOR), ("pitch", value.pitch, SIDE_COLOR), ("roll", value.roll, NOSE_COLOR))
    for place, (name, angle, color) in enumerate(rows):
        middle = round(drawn.shape[0] / 2 + (place - 1) * 1.4 * _GAUGE)
        _gauge(gauges, middle, angle, color)
        labels.append(Label(name, (20, middle - 24)))
        labels.append(Label(f"{angle:+.1f}°", (400, middle - 24), anchor="right"))
    return np.concatenate([drawn, write(gauges, labels)], axis=1)


def _gauge(canvas: Picture, middle: int, angle: float, color: Color) -> None:
    """A scale from -90 to 90 degrees with a bar from 0 to the angle."""
    left, right, zero = 20, 400, 210
    end = zero + round((right - zero) * float(np.clip(angle / 90, -1, 1)))
    cv2.rectangle(canvas, (left, middle - 8), (right, middle + 8), (45, 48, 56), -1)
    cv2.rectangle(canvas, (min(zero, end), middle - 8), (max(zero, end), middle + 8), color, -1)
    cv2.line(canvas, (zero, middle - 12), (zero, middle + 12), FAINT_TEXT, 1)


def show_attention(
    given: Picture, maps: Sequence[AttentionMap], pixel: Pixel, blocks: Blocks = "last", image: int = 0
) -> Picture:
    """Where each head group looks from one pixel: a tile for each group of each stage.

    A tile shows the mean over the group's heads, brightest where it looks most, the pixel's window in white and the
    pixel in green.

    Args:
        given: (H, W, 3), what the network was given.
        maps: of ``watch_attention``.
        pixel: (column, row) of ``given``.
        blocks: of each stage the first one, the last one, or the mean of all.
        image: its place in the batch that the maps are of.
    """
    places = sorted({(one.stage, one.group) for one in maps})
    found = [[one for one in maps if (one.stage, one.group) == place] for place in places]
    chosen = {"last": slice(-1, None), "first": slice(1), "mean": slice(None)}[blocks]
    return lay_tiles([[_attention_tile(given, group[chosen], pixel, image) for group in found]])


def _attention_tile(given: Picture, maps: Sequence[AttentionMap], pixel: Pixel, image: int) -> tuple[Picture, str]:
    one = maps[0]
    (height, width), (full_height, full_width) = one.window.map_size, given.shape[:2]
    row, column = pixel[1] * height // full_height, pixel[0] * width // full_width
    heat = looks_at(maps, row, column, image)
    factor = max(1, _TILE_SIDE // full_height)
    tile = heat_over(given, heat / max(heat.max(), _EVEN / heat.size), factor)
    down, across = factor * full_height / height, factor * full_width / width
    top, left, bottom, right = one.limits(row, column)
    tile = outline(tile, (left * across, top * down, right * across, bottom * down), LIMITS, 1)
    tile = outline(tile, (column * across, row * down, (column + 1) * across, (row + 1) * down), MARK, 2)
    return tile, f"stage {one.stage + 1}, group {one.group + 1}"


def looks_at(maps: Sequence[AttentionMap], row: int, column: int, image: int = 0) -> NDArray[np.float64]:
    """(h, w): the mean weight over the heads of all maps, as large as the keys' map; it sums to one."""
    seen = torch.stack([one.at(row, column, image).double().mean(dim=0) for one in maps])
    return np.asarray(seen.mean(dim=0).numpy(), dtype=np.float64)
