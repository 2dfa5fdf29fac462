"""Predictions drawn on a picture that keeps its size, as the frames of a video must."""

from __future__ import annotations

from collections.abc import Sequence

from cmsa.structures import ClassScores, HeadPose, Keypoints, Value
from cmsa.visualization.head_pose import draw_axes, draw_cube
from cmsa.visualization.keypoints import draw_boxes, draw_keypoints
from cmsa.visualization.panel import Picture


def overlay(
    image: Picture, values: Sequence[Value], identities: Sequence[int | None], *, cube: bool = False
) -> Picture:
    """Draw predictions and the ids of their boxes.

    Args:
        image: (H, W, 3) uint8 RGB.
        values: N predictions.
        identities: N ids, None for no id.
        cube: draw heads as cubes instead of axes.

    Returns:
        A new picture of the same size.
    """
    people = [value for value in values if isinstance(value, Keypoints)]
    heads = [value for value in values if isinstance(value, HeadPose)]
    picture = draw_keypoints(image, people, readable_side=0) if people else image
    if heads:
        picture = (draw_cube if cube else draw_axes)(picture, heads, readable_side=0)
    names = [
        " ".join(filter(None, ["" if identity is None else str(identity), _text(value)]))
        for value, identity in zip(values, identities, strict=True)
    ]
    named = [place for place, name in enumerate(names) if name]
    return draw_boxes(picture, [values[place].box for place in named], [names[place] for place in named])


def _text(value: Value) -> str:
    if not isinstance(value, ClassScores):
        return ""
    name, share = value.top(1)[0]
    return f"{name} {share:.0%}"
