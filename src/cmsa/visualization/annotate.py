"""Predictions -> one annotated picture, which shows beside the full picture what the network really saw of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from cmsa.geometry.affine import apply_affine
from cmsa.structures import Box, ClassScores, FloatArray, HeadPose, Keypoints, Value
from cmsa.visualization.boxes import draw_boxes
from cmsa.visualization.class_scores import draw_class_scores
from cmsa.visualization.head_pose import draw_axes, draw_cube
from cmsa.visualization.keypoints import draw_keypoints
from cmsa.visualization.panel import Picture, draw_panel, enlarge, in_panel, insets_that_fit, size_text
from cmsa.visualization.scaling import head_in_crop, scale_points, scale_value

Crop = tuple[Picture, FloatArray]
Draw = Callable[..., Picture]
Inset = Callable[[Any, Picture, FloatArray], tuple[Picture, str]]
"""A value, its crop and the map to it -> the crop annotated, and what it says of itself."""

_INSET_SIDE = 640


def annotate(
    image: Picture, values: Sequence[Value], crops: Sequence[Crop], *, top: int = 5, cube: bool = False
) -> Picture:
    """Draw the predictions for one picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        values: N predictions of one kind, each kind drawn in its way; none at all gives the picture alone.
        crops: N (crop, 2x3 map from the picture) pairs, as ``Predictor.crops`` gives.
        top: how many classes to show.
        cube: draw heads as cubes instead of axes.

    Returns:
        The panel, (H', W', 3) uint8 RGB. Each crop is enlarged with its pixels visible and named by its number, size
        (H x W) and prediction; the numbers stand at the boxes in the picture. Where not all crops fit beside the
        picture, the largest boxes have one.

    Raises:
        ValueError: values and crops differ in number, or a picture is not (H, W, 3) uint8.
    """
    if len(values) != len(crops):
        raise ValueError(f"each value needs a crop, got {len(values)} values and {len(crops)} crops")
    if not values:
        return draw_panel(image, [], f"{size_text(image)} picture, no box")
    noun, draw, make = _ways(values[0], top, cube)
    alone = len(values) == 1 and values[0].box == Box(0, 0, image.shape[1], image.shape[0])
    if isinstance(values[0], ClassScores) and alone and max(image.shape[:2]) <= 2 * max(crops[0][0].shape[:2]):
        # The picture is a thumbnail itself, and its crop shows all of it.
        return make(values[0], *crops[0])[0]
    by_area = sorted(range(len(values)), key=lambda place: -values[place].box.width * values[place].box.height)
    # Drawn at the size that is shown: lines of a large picture would be lost when it is reduced.
    picture, factor = in_panel(image)

    def inset(number: int, place: int) -> tuple[Picture, str]:
        pixels, text = make(values[place], *crops[place])
        return pixels, f"{number}   {size_text(crops[place][0])}   {text}".rstrip()

    shown = sorted(by_area[: insets_that_fit(picture, *inset(len(values), by_area[0]))])
    insets = [inset(number, place) for number, place in enumerate(shown, start=1)]
    placed = [scale_value(value, factor) for value in values]
    drawn = draw(picture, placed)
    if not alone:
        drawn = draw_boxes(drawn, [placed[place].box for place in shown], [str(n + 1) for n in range(len(shown))])
    caption = f"{size_text(image)} picture, {noun[len(values) > 1].format(len(values))}"
    if len(shown) < len(values):
        caption += f", the largest {len(shown)} at right" if len(shown) > 1 else ", the largest at right"
    return draw_panel(drawn, insets, caption)


def annotate_crop(crop: Picture, value: Value, *, top: int = 3, cube: bool = False) -> Picture:
    """A crop, enlarged with its pixels visible, and a prediction for it.

    Args:
        crop: (H, W, 3) uint8 RGB.
        value: whose places are pixels of the crop, and whose box is the crop.
        top: how many classes to show beside it; 0 for the crop alone.
        cube: draw heads as cubes instead of axes.
    """
    _, _, make = _ways(value, top, cube)
    return make(value, crop, np.array([[1.0, 0, 0], [0, 1, 0]]))[0]


def _ways(value: Value, top: int, cube: bool) -> tuple[tuple[str, str], Draw, Inset]:
    """What a kind of value is called, one and many; how it is drawn in the picture, and in its crop."""
    if isinstance(value, Keypoints):
        return ("1 person", "{} people"), partial(draw_keypoints, readable_side=0), _person_inset
    if isinstance(value, HeadPose):
        draw = partial(draw_cube if cube else draw_axes, readable_side=0)
        return ("1 head", "{} heads"), draw, partial(_head_inset, draw)
    if isinstance(value, ClassScores):
        return ("1 crop", "{} crops"), _as_it_is, partial(_class_inset, top)
    # Values that have no picture of their own: boxes and crops alone.
    return ("1 crop", "{} crops"), _as_it_is, lambda value, crop, matrix: (enlarge(crop, _INSET_SIDE)[0], "")


def _as_it_is(picture: Picture, values: Sequence[Value]) -> Picture:
    return picture


def _person_inset(person: Keypoints, crop: Picture, matrix: FloatArray) -> tuple[Picture, str]:
    enlarged, factor = enlarge(crop, _INSET_SIDE)
    xy = scale_points(apply_affine(matrix, person.xy), factor)
    whole = Box(0, 0, enlarged.shape[1], enlarged.shape[0])
    moved = Keypoints(xy, person.scores, person.names, whole, person.keypoint_set)
    return draw_keypoints(enlarged, [moved], readable_side=0), f"score {person.score:.2f}"


def _head_inset(draw: Draw, head: HeadPose, crop: Picture, matrix: FloatArray) -> tuple[Picture, str]:
    enlarged, factor = enlarge(crop, _INSET_SIDE)
    drawn = draw(enlarged, [head_in_crop(head, matrix, factor)])
    return drawn, f"yaw {head.yaw:+.0f}°  pitch {head.pitch:+.0f}°  roll {head.roll:+.0f}°"


def _class_inset(top: int, scores: ClassScores, crop: Picture, matrix: FloatArray) -> tuple[Picture, str]:
    return draw_class_scores(crop, scores, top) if top else enlarge(crop, _INSET_SIDE)[0], ""
