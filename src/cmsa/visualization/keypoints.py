"""Skeletons drawn on a picture.

Colours tell the sides: orange is the person's left, blue the right, green what lies between; legs are darker than arms.
Where a set of keypoints has no sides, each keypoint has a colour of its own.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache

import cv2

from cmsa.structures import Keypoints, KeypointSet
from cmsa.structures.keypoints import COUNTED_SCORE
from cmsa.visualization.panel import Color, Picture
from cmsa.visualization.scaling import READABLE_SIDE, readable, scale_value
from cmsa.visualization.subpixel import SUBPIXEL_BITS, fixed_points

KEYPOINT_THRESHOLD = COUNTED_SCORE
"""Keypoints that score less are not drawn."""
_DOTTED_WIDTH = 5
"""Joints on narrower lines have no room for a white dot."""

_OUTLINE: Color = (20, 20, 24)
_JOINT: Color = (255, 255, 255)
_COLORS: dict[tuple[str, str], Color] = {
    ("left", "arm"): (255, 166, 43),
    ("left", "leg"): (232, 106, 23),
    ("right", "arm"): (72, 190, 255),
    ("right", "leg"): (38, 121, 232),
    ("center", "arm"): (122, 214, 94),
    ("center", "leg"): (122, 214, 94),
}


def draw_keypoints(
    image: Picture,
    people: Sequence[Keypoints],
    threshold: float = KEYPOINT_THRESHOLD,
    *,
    readable_side: int = READABLE_SIDE,
) -> Picture:
    """Draw the skeletons of ``people``, each with the lines of its own keypoint set.

    Args:
        image: (H, W, 3) uint8 RGB, the picture whose pixels ``people`` are in.
        people: may be empty.
        threshold: keypoints that score less are left out, with the lines that end in them.
        readable_side: a picture whose long side is shorter is first enlarged by the least whole factor that
            reaches it; 0 keeps the size.

    Returns:
        (factor * H, factor * W, 3) uint8 RGB, a new picture. Lines are as wide as ``line_width`` says.

    Raises:
        ValueError: ``image`` is not (H, W, 3) uint8, or is empty.
    """
    canvas, factor = readable(image, readable_side)
    side = max(canvas.shape[:2])
    # Who is near, and large, is drawn over who is far.
    for person in sorted((scale_value(one, factor) for one in people), key=lambda one: one.box.width * one.box.height):
        _draw_skeleton(canvas, person, threshold, line_width(max(person.box.width, person.box.height), side))
    return canvas


def line_width(person_side: float, picture_side: float) -> int:
    """How wide lines are, in pixels: 1.2 % of the person, but to be seen in a large picture of many people.

    Args:
        person_side: the long side of the box.
        picture_side: the long side of the picture.

    Returns:
        At least 1/800 and at most 1/80 of the picture, and at most 4 % of the person, who would be covered otherwise.
    """
    wanted = min(max(0.012 * person_side, picture_side / 800), picture_side / 80, 0.04 * person_side)
    return max(1, round(wanted))


def _draw_skeleton(canvas: Picture, person: Keypoints, threshold: float, width: int) -> None:
    """Draw one person on ``canvas`` in place."""
    skeleton = person.keypoint_set.skeleton
    where = {
        index: place
        for index, (place, score) in enumerate(zip(fixed_points(person.xy), person.scores.tolist(), strict=True))
        if score >= threshold
    }
    colors, line_colors = _colors(person.keypoint_set)
    lines = [
        (where[first], where[second], color)
        for (first, second), color in zip(skeleton, line_colors, strict=True)
        if first in where and second in where
    ]
    rim = max(1, round(width / 3))
    # All outlines lie under all lines, so that crossing limbs stay whole.
    for start, end, _ in lines:
        cv2.line(canvas, start, end, _OUTLINE, width + 2 * rim, cv2.LINE_AA, SUBPIXEL_BITS)
    for start, end, color in lines:
        cv2.line(canvas, start, end, color, width, cv2.LINE_AA, SUBPIXEL_BITS)
    radius = round(0.9 * width * 2**SUBPIXEL_BITS)
    for index, center in where.items():
        cv2.circle(canvas, center, radius + rim * 2**SUBPIXEL_BITS, _OUTLINE, -1, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.circle(canvas, center, radius, colors[index], -1, cv2.LINE_AA, SUBPIXEL_BITS)
        if width >= _DOTTED_WIDTH:
            cv2.circle(canvas, center, round(radius * 0.45), _JOINT, -1, cv2.LINE_AA, SUBPIXEL_BITS)


_LEG = ("knee", "ankle", "foot", "heel", "toe", "paw", "hoof")


def _side(keypoint_set: KeypointSet, index: int) -> str:
    if any(index == left for left, _ in keypoint_set.flip_pairs):
        return "left"
    return "right" if any(index == right for _, right in keypoint_set.flip_pairs) else "center"


def _is_leg(name: str) -> bool:
    return any(part in name.casefold() for part in _LEG)


@lru_cache(maxsize=64)
def _colors(keypoint_set: KeypointSet) -> tuple[list[Color], list[Color]]:
    """The colours of keypoints and of lines: of their sides, or their own where there are no sides."""
    if not keypoint_set.flip_pairs:
        colors = [_hue(index / len(keypoint_set)) for index in range(len(keypoint_set))]
        return colors, [colors[second] for _, second in keypoint_set.skeleton]
    colors = [
        _COLORS[_side(keypoint_set, index), "leg" if _is_leg(name) else "arm"]
        for index, name in enumerate(keypoint_set.names)
    ]
    return colors, [_line_color(keypoint_set, first, second) for first, second in keypoint_set.skeleton]


def _hue(turn: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(turn, 0.7, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _line_color(keypoint_set: KeypointSet, first: int, second: int) -> Color:
    """The colour of the line between two keypoints: of the side they share, and whether it is part of a leg."""
    sides = {_side(keypoint_set, index) for index in (first, second)}
    side = sides.pop() if len(sides) == 1 else "center"
    return _COLORS[side, "leg" if any(_is_leg(keypoint_set.names[index]) for index in (first, second)) else "arm"]
