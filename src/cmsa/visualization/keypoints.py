"""Image + value -> annotated image: skeletons, the low-resolution crops beside the picture, class probabilities.

Every picture is (H, W, 3) uint8 RGB and is never changed: a new one is returned. Colours tell the sides: orange is
the person's left, blue the right, green what lies between; legs are darker than arms. Where a set of keypoints has no
sides, each keypoint has a colour of its own.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cmsa.geometry.affine import apply_affine
from cmsa.structures import COCO, Box, ClassScores, Keypoints, KeypointSet
from cmsa.visualization.panel import (
    BACKGROUND,
    FAINT_TEXT,
    Color,
    Label,
    Picture,
    check_picture,
    draw_panel,
    enlarge,
    size_text,
    text_width,
    write,
)

FloatArray = NDArray[np.float64]

KEYPOINT_THRESHOLD = 0.2
"""Keypoints that score less are not drawn (the threshold of HRNet's rescoring)."""

_READABLE_SIDE = 480
_INSET_SIDE = 640
_MOST_INSETS = 12
_SUBPIXEL_BITS = 4
_DOTTED_WIDTH = 5
"""Joints on narrower lines have no room for a white dot."""

_OUTLINE: Color = (20, 20, 24)
_JOINT: Color = (255, 255, 255)
_BOX: Color = (235, 236, 240)
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
    keypoint_set: KeypointSet = COCO,
    readable_side: int = _READABLE_SIDE,
) -> Picture:
    """Draw the skeletons of ``people``.

    Args:
        image: (H, W, 3) uint8 RGB, the picture whose pixels ``people`` are in.
        people: may be empty.
        threshold: keypoints that score less are left out, with the lines that end in them.
        keypoint_set: whose skeleton to draw; it is looked up by keypoint names, so a part of them will do.
        readable_side: a picture whose long side is shorter is first enlarged by the least whole factor that
            reaches it; 0 keeps the size.

    Returns:
        (factor * H, factor * W, 3) uint8 RGB. Lines are as wide as 1.2% of the long side of the person's box.

    Raises:
        ValueError: ``image`` is not (H, W, 3) uint8, or is empty.
    """
    check_picture("image", image)
    canvas, factor = _readable(image, readable_side)
    for person in people:
        side = max(person.box.width, person.box.height) * factor
        _draw_skeleton(canvas, person, _scale(person.xy, factor), threshold, keypoint_set, _line_width(side))
    return canvas


def draw_crop_panel(
    image: Picture,
    people: Sequence[Keypoints],
    crops: Sequence[Picture],
    matrices: Sequence[FloatArray],
    threshold: float = KEYPOINT_THRESHOLD,
    *,
    keypoint_set: KeypointSet = COCO,
) -> Picture:
    """What the network saw: the annotated picture at left, the low-resolution crops of its people at right.

    Args:
        image: (H, W, 3) uint8 RGB, the full picture.
        people: N people in pixels of the full picture.
        crops: N crops as given to the network, each (h, w, 3) uint8 RGB.
        matrices: N affine maps (2, 3) from the picture to the crop, as ``geometry.crop_affine`` gives.
        threshold: keypoints that score less are left out.
        keypoint_set: whose skeleton to draw.

    Returns:
        The panel. Each crop is enlarged with its pixels visible and named by its number, size (H x W) and score;
        the numbers stand at the boxes in the picture. With more than 12 people the 12 largest boxes have a crop.

    Raises:
        ValueError: the three sequences differ in length, or a picture is not (H, W, 3) uint8.
    """
    if not len(people) == len(crops) == len(matrices):
        raise ValueError(
            f"each person needs a crop and a matrix, got {len(people)} people, {len(crops)} crops, "
            f"{len(matrices)} matrices"
        )
    by_area = sorted(range(len(people)), key=lambda index: -people[index].box.width * people[index].box.height)
    shown = sorted(by_area[:_MOST_INSETS])
    picture = draw_keypoints(image, people, threshold, keypoint_set=keypoint_set)
    factor = picture.shape[0] // image.shape[0]
    picture = draw_boxes(picture, [people[i].box for i in shown], [str(n + 1) for n in range(len(shown))], factor)
    insets = []
    for number, index in enumerate(shown, start=1):
        crop, person = crops[index], people[index]
        enlarged, times = enlarge(crop, _INSET_SIDE)
        points = _scale(apply_affine(matrices[index], person.xy), times)
        _draw_skeleton(enlarged, person, points, threshold, keypoint_set, _line_width(max(enlarged.shape[:2])))
        insets.append((enlarged, f"{number}   {size_text(crop)}   score {person.score:.2f}"))
    caption = f"{size_text(image)} picture, {_people(len(people))}"
    if len(shown) < len(people):
        caption += f", the {len(shown)} largest at right"
    return draw_panel(picture, insets, caption)


def draw_boxes(image: Picture, boxes: Sequence[Box], names: Sequence[str], factor: int = 1) -> Picture:
    """Draw boxes with a name at the top left corner of each.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: boxes in pixels of the picture before it was enlarged.
        names: one short text for each box.
        factor: how many times the picture was enlarged.

    Returns:
        The annotated copy.
    """
    canvas = image.copy()
    size = max(14, round(max(image.shape[:2]) / 50))
    width = max(1, round(size / 14))
    tags = []
    for box, name in zip(boxes, names, strict=True):
        # A box's edges lie half a pixel outside of the centres of its border pixels.
        left, top = round(box.x * factor), round(box.y * factor)
        right, bottom = round((box.x + box.width) * factor) - 1, round((box.y + box.height) * factor) - 1
        cv2.rectangle(canvas, (left, top), (right, bottom), _BOX, width, cv2.LINE_AA)
        tag_width = text_width(name, size) + size // 2 + 2
        tag_left, tag_top = max(0, left), max(0, top)
        cv2.rectangle(canvas, (tag_left, tag_top), (tag_left + tag_width, tag_top + round(1.4 * size)), _BOX, -1)
        tags.append(Label(name, (tag_left + tag_width / 2, tag_top + 0.7 * size), size, _OUTLINE, "center"))
    return write(canvas, tags)


def draw_class_scores(image: Picture, scores: ClassScores, top: int = 5) -> Picture:
    """The crop with its pixels visible, and bars of its most likely classes.

    Args:
        image: (H, W, 3) uint8 RGB, the crop that was classified.
        scores: its class probabilities.
        top: how many classes to show, at most as many as there are.

    Returns:
        A new picture: the crop at left, one bar for each class at right, best first.

    Raises:
        ValueError: ``image`` is not (H, W, 3) uint8, or ``top`` is less than 1.
    """
    check_picture("image", image)
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    best = scores.top(top)
    side, margin, size = 320, 24, 18
    crop, _ = enlarge(image, side)
    name_width = max(text_width(name, size) for name, _ in best)
    bar_left = margin + crop.shape[1] + margin + name_width + margin // 2
    bar_length, number_width = 260, text_width(" 100.0%", size)
    row_height = 44
    height = max(crop.shape[0], len(best) * row_height)
    canvas = np.empty((height + 2 * margin, bar_left + bar_length + number_width + margin, 3), np.uint8)
    canvas[:] = BACKGROUND
    crop_top = margin + (height - crop.shape[0]) // 2
    canvas[crop_top : crop_top + crop.shape[0], margin : margin + crop.shape[1]] = crop
    labels = []
    first_row = margin + (height - len(best) * row_height) / 2
    for row, (name, probability) in enumerate(best):
        middle = first_row + (row + 0.5) * row_height
        color = _COLORS["right", "arm"] if row == 0 else _COLORS["right", "leg"]
        above, below = round(middle - 9), round(middle + 9)
        canvas[above:below, bar_left : bar_left + bar_length] = (45, 48, 56)
        canvas[above:below, bar_left : bar_left + round(bar_length * probability)] = color
        labels.append(Label(name, (bar_left - margin / 2, middle), size, anchor="right"))
        end = bar_left + bar_length + number_width
        labels.append(Label(f"{probability:.1%}", (end, middle), size, FAINT_TEXT, "right"))
    return write(canvas, labels)


def _readable(image: Picture, side: int) -> tuple[Picture, int]:
    """A copy enlarged by the least whole factor that makes its long side reach ``side``, and the factor."""
    factor = max(1, -(-side // max(image.shape[:2])))
    if factor == 1:
        return image.copy(), 1
    size = image.shape[1] * factor, image.shape[0] * factor
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8), factor


def _scale(points: FloatArray, factor: int) -> FloatArray:
    """Where points go when every pixel becomes ``factor`` x ``factor`` pixels, pixel centres at integers."""
    return factor * (points + 0.5) - 0.5


def _line_width(side: float) -> int:
    return max(1, round(0.012 * side))


def _people(count: int) -> str:
    return {0: "no people", 1: "1 person"}.get(count, f"{count} people")


def _draw_skeleton(
    canvas: Picture, person: Keypoints, points: FloatArray, threshold: float, keypoint_set: KeypointSet, width: int
) -> None:
    """Draw one person on ``canvas`` in place; ``points`` are (K, 2) in its pixels."""
    where = {
        name: _fixed_point(point)
        for name, point, score in zip(person.names, points, person.scores, strict=True)
        if score >= threshold
    }
    names, colors = keypoint_set.names, _colors(keypoint_set)
    lines = [
        (where[names[first]], where[names[second]], _line_color(colors, keypoint_set, first, second))
        for first, second in keypoint_set.skeleton
        if names[first] in where and names[second] in where
    ]
    rim = max(1, round(width / 3))
    # All outlines lie under all lines, so that crossing limbs stay whole.
    for start, end, _ in lines:
        cv2.line(canvas, start, end, _OUTLINE, width + 2 * rim, cv2.LINE_AA, _SUBPIXEL_BITS)
    for start, end, color in lines:
        cv2.line(canvas, start, end, color, width, cv2.LINE_AA, _SUBPIXEL_BITS)
    radius = round(0.9 * width * 2**_SUBPIXEL_BITS)
    for name, center in where.items():
        cv2.circle(canvas, center, radius + rim * 2**_SUBPIXEL_BITS, _OUTLINE, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        color = colors[names.index(name)] if name in names else _COLORS["center", "arm"]
        cv2.circle(canvas, center, radius, color, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        if width >= _DOTTED_WIDTH:
            cv2.circle(canvas, center, round(radius * 0.45), _JOINT, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed_point(point: FloatArray) -> tuple[int, int]:
    # OpenCV's coordinates are 32 bit: a point far outside would wrap around into the picture.
    x, y = np.clip(np.rint(point * 2**_SUBPIXEL_BITS), -(2**24), 2**24).astype(int).tolist()
    return x, y


_LEG = ("knee", "ankle", "foot", "heel", "toe", "paw", "hoof")


def _side(keypoint_set: KeypointSet, index: int) -> str:
    if any(index == left for left, _ in keypoint_set.flip_pairs):
        return "left"
    return "right" if any(index == right for _, right in keypoint_set.flip_pairs) else "center"


def _is_leg(name: str) -> bool:
    return any(part in name.casefold() for part in _LEG)


def _colors(keypoint_set: KeypointSet) -> list[Color]:
    """The colour of each keypoint: of its side, or one of its own where there are no sides."""
    count = len(keypoint_set)
    if not keypoint_set.flip_pairs:
        return [_hue(index / count) for index in range(count)]
    return [
        _COLORS[_side(keypoint_set, index), "leg" if _is_leg(name) else "arm"]
        for index, name in enumerate(keypoint_set.names)
    ]


def _hue(turn: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(turn, 0.7, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _line_color(colors: Sequence[Color], keypoint_set: KeypointSet, first: int, second: int) -> Color:
    """The colour of the line between two keypoints: of the side they share, and whether it is part of a leg."""
    if not keypoint_set.flip_pairs:
        return colors[second]
    sides = {_side(keypoint_set, index) for index in (first, second)}
    side = sides.pop() if len(sides) == 1 else "center"
    return _COLORS[side, "leg" if any(_is_leg(keypoint_set.names[index]) for index in (first, second)) else "arm"]
