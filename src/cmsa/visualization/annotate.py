"""Predictions -> one annotated picture, which shows beside the full picture what the network really saw of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmsa.geometry.affine import apply_affine
from cmsa.structures import COCO, Box, ClassScores, FloatArray, HeadPose, Keypoints, KeypointSet, Value
from cmsa.visualization.head_pose import draw_axes, draw_cube
from cmsa.visualization.keypoints import draw_boxes, draw_class_scores, draw_crop_panel
from cmsa.visualization.panel import Picture, draw_panel, enlarge, size_text

Crop = tuple[Picture, FloatArray]

_MOST_INSETS = 12
_INSET_SIDE = 640
_INSET_SHARE = 0.8
"""Heads are drawn smaller in a crop than in the picture, so that the axes' tips stay inside."""


def annotate(
    image: Picture,
    values: Sequence[Value],
    crops: Sequence[Crop],
    *,
    top: int = 5,
    cube: bool = False,
    keypoint_set: KeypointSet = COCO,
) -> Picture:
    """Draw the predictions for one picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        values: N predictions of one kind, each kind drawn in its way; none at all gives the picture alone.
        crops: N (crop, 2x3 map from the picture) pairs, as ``Predictor.crops`` gives.
        top: how many classes to show.
        cube: draw heads as cubes instead of axes.
        keypoint_set: whose skeleton keypoints have.

    Returns:
        A new picture, (H', W', 3) uint8 RGB. Of more than 12 boxes, the 12 largest have a crop.
    """
    people = [value for value in values if isinstance(value, Keypoints)]
    heads = [value for value in values if isinstance(value, HeadPose)]
    scores = [value for value in values if isinstance(value, ClassScores)]
    if people:
        pixels, matrices = [crop for crop, _ in crops], [matrix for _, matrix in crops]
        return draw_crop_panel(image, people, pixels, matrices, keypoint_set=keypoint_set)
    if heads:
        return _head_panel(image, heads, crops, cube)
    if scores:
        return _class_panel(image, scores, crops, top)
    if values:
        return _plain_panel(image, values, crops)
    return draw_panel(image, [], f"{size_text(image)} picture, no box")


def _head_panel(image: Picture, heads: Sequence[HeadPose], crops: Sequence[Crop], cube: bool) -> Picture:
    draw = draw_cube if cube else draw_axes
    shown = _largest([head.box for head in heads])
    insets = []
    for number, index in enumerate(shown, start=1):
        (crop, matrix), head = crops[index], heads[index]
        enlarged, factor = enlarge(crop, _INSET_SIDE)
        moved = HeadPose(head.yaw, head.pitch, head.roll, _place_in_crop(head.box, matrix, factor))
        name = f"{number}   {size_text(crop)}   yaw {head.yaw:+.0f}°  pitch {head.pitch:+.0f}°  roll {head.roll:+.0f}°"
        insets.append((draw(enlarged, [moved], readable_side=0), name))
    picture = draw(image, heads)
    numbered = _numbered(picture, [heads[index].box for index in shown], picture.shape[0] // image.shape[0])
    return draw_panel(numbered, insets, _caption(image, len(heads), len(shown), "head"))


def _class_panel(image: Picture, scores: Sequence[ClassScores], crops: Sequence[Crop], top: int) -> Picture:
    whole = Box(0, 0, image.shape[1], image.shape[0])
    shown = _largest([value.box for value in scores])
    insets = []
    for number, index in enumerate(shown, start=1):
        crop = crops[index][0]
        insets.append((draw_class_scores(crop, scores[index], top), f"{number}   {size_text(crop)}"))
    if len(scores) == 1 and scores[0].box == whole and max(image.shape[:2]) <= 2 * max(crops[0][0].shape[:2]):
        # The picture is a thumbnail itself, and its crop shows all of it.
        return insets[0][0]
    picture = image if len(scores) == 1 and scores[0].box == whole else _numbered(image, [scores[i].box for i in shown])
    return draw_panel(picture, insets, _caption(image, len(scores), len(shown), "crop"))


def _plain_panel(image: Picture, values: Sequence[Value], crops: Sequence[Crop]) -> Picture:
    """Boxes and crops alone, for values that have no picture of their own."""
    shown = _largest([value.box for value in values])
    insets = [
        (enlarge(crops[index][0], _INSET_SIDE)[0], f"{number}   {size_text(crops[index][0])}")
        for number, index in enumerate(shown, start=1)
    ]
    numbered = _numbered(image, [values[index].box for index in shown])
    return draw_panel(numbered, insets, _caption(image, len(values), len(shown), "crop"))


def _largest(boxes: Sequence[Box]) -> list[int]:
    """Places of the boxes that get an inset, in the order given."""
    by_area = sorted(range(len(boxes)), key=lambda index: -boxes[index].width * boxes[index].height)
    return sorted(by_area[:_MOST_INSETS])


def _numbered(picture: Picture, boxes: Sequence[Box], factor: int = 1) -> Picture:
    return draw_boxes(picture, boxes, [str(number + 1) for number in range(len(boxes))], factor)


def _caption(image: Picture, count: int, shown: int, noun: str) -> str:
    caption = f"{size_text(image)} picture, {count} {noun}{'s' * (count != 1)}"
    return caption + (f", the {shown} largest at right" if shown < count else "")


def _place_in_crop(box: Box, matrix: FloatArray, factor: int) -> Box:
    """Where to draw a head in its crop, enlarged ``factor`` times."""
    x, y = factor * (apply_affine(matrix, np.array(box.center)) + 0.5) - 0.5
    scale = _INSET_SHARE * factor
    width, height = scale * box.width * matrix[0, 0], scale * box.height * matrix[1, 1]
    return Box(x - (width - 1) / 2, y - (height - 1) / 2, width, height)
