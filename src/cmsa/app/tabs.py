"""The tabs of the page: a task is a line in ``TABS``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cmsa.app.pictures import show_head, show_heatmaps
from cmsa.app.viewer import Sight, Viewer
from cmsa.geometry.affine import apply_affine
from cmsa.structures import ClassScores, HeadPose, Keypoints
from cmsa.tasks.task import numbers
from cmsa.visualization.class_scores import draw_class_scores
from cmsa.visualization.head_pose import draw_axes
from cmsa.visualization.keypoints import KEYPOINT_THRESHOLD, draw_keypoints
from cmsa.visualization.panel import Picture


@dataclass(frozen=True)
class Tab:
    """A task on the page.

    Attributes:
        task: its name in descriptions of weights.
        title: of the tab.
        noun: what a box holds.
        legend: what is drawn on the picture.
        draw: (weights, picture, values) -> annotated picture, some whole number of times as large.
        tag: a value -> what stands at its box behind the number.
        evidence: (weights, look) -> a picture of what the network put out.
        evidence_title: what that picture is.
        summary: a value -> a sentence.
        folder: of the examples, in the folder of all examples.
        boxes: the COCO detection file beside them.
    """

    task: str
    title: str
    noun: str
    legend: str
    draw: Callable[[Viewer, Picture, Sequence[Any]], Picture]
    tag: Callable[[Any], str]
    evidence: Callable[[Viewer, Sight], Picture]
    evidence_title: str
    summary: Callable[[Any], str]
    folder: str
    boxes: str


def _draw_people(viewer: Viewer, picture: Picture, people: Sequence[Any]) -> Picture:
    return draw_keypoints(picture, people)


def _show_heatmaps(viewer: Viewer, sight: Sight) -> Picture:
    maps = viewer.task.heatmaps(sight.output)
    if maps is not None:
        return show_heatmaps(sight.given, numbers(maps[0]), sight.value)
    person = replace(sight.value, xy=apply_affine(sight.matrix, sight.value.xy))
    return _draw_people(viewer, sight.given, [person])


def _found(person: Keypoints) -> str:
    count = int((person.scores >= KEYPOINT_THRESHOLD).sum())
    return f"{count} of {len(person.names)} keypoints found, mean score {person.score:.2f}"


def _best(scores: ClassScores) -> str:
    name, probability = scores.top(1)[0]
    return f"{name} {probability:.0%}"


def _angles(head: HeadPose) -> str:
    return f"yaw {head.yaw:+.0f}°, pitch {head.pitch:+.0f}°, roll {head.roll:+.0f}°"


TABS = (
    Tab(
        task="pose",
        title="Pose",
        noun="person",
        legend="Orange is a person's left side, blue the right.",
        draw=_draw_people,
        tag=lambda person: "",
        evidence=_show_heatmaps,
        evidence_title="Heatmaps, each by its own peak, and scores",
        summary=_found,
        folder="people",
        boxes="boxes.json",
    ),
    Tab(
        task="head_pose",
        title="Head pose",
        noun="face",
        legend="Blue points where the nose does, green down, red to the person's left.",
        draw=lambda viewer, picture, heads: draw_axes(picture, heads),
        tag=lambda head: "",
        evidence=lambda viewer, sight: show_head(sight.given, sight.matrix, sight.value),
        evidence_title="Angles, from -90° to 90°",
        summary=_angles,
        folder="people",
        boxes="faces.json",
    ),
    Tab(
        task="classification",
        title="Classification",
        noun="thing",
        legend="At each box stands the most likely class.",
        draw=lambda viewer, picture, things: picture,
        tag=_best,
        evidence=lambda viewer, sight: draw_class_scores(sight.given, sight.value),
        evidence_title="Most likely classes",
        summary=_best,
        folder="things",
        boxes="boxes.json",
    ),
)
