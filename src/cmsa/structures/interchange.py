"""Keypoints to and from ``supervision.KeyPoints``, whose trackers, zones and annotators then take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cmsa.guidance.extras import load
from cmsa.structures.keypoint_set import COCO, KeypointSet
from cmsa.structures.keypoints import COUNTED_SCORE, Keypoints
from cmsa.structures.values import Box, FloatArray

BOXES = "xywh"
"""The entry of ``KeyPoints.data`` that keeps the boxes."""


def to_supervision(people: Sequence[Keypoints]) -> Any:
    """The people of one picture as one ``supervision.KeyPoints``.

    Args:
        people: N, all of one keypoint set; none at all gives an empty one.

    Returns:
        ``xy`` (N, K, 2), ``keypoint_confidence`` (N, K), ``detection_confidence`` (N,), ``visible`` (N, K), True above
        a score of 0.2, ``class_id`` (N,), the category's number from 0, and in ``data`` ``class_name`` and the boxes
        as ``xywh`` (N, 4).

    Raises:
        ModuleNotFoundError: supervision is not installed.
        ValueError: the people have different keypoints.
    """
    KeyPoints = load("supervision", "to_supervision").KeyPoints
    if not people:
        return KeyPoints.empty()
    for place, person in enumerate(people):
        if person.names != people[0].names:
            raise ValueError(f"person {place} has the keypoints {person.names}, person 0 has {people[0].names}")
    scores = np.stack([person.scores for person in people])
    return KeyPoints(
        xy=np.stack([person.xy for person in people]).astype(np.float32),
        class_id=np.array([person.keypoint_set.category_id - 1 for person in people]),
        keypoint_confidence=scores.astype(np.float32),
        detection_confidence=np.array([person.score for person in people], np.float32),
        visible=scores > COUNTED_SCORE,
        data={
            "class_name": np.array([person.keypoint_set.category for person in people]),
            BOXES: np.array([person.box.xywh for person in people], np.float64),
        },
    )


def from_supervision(key_points: Any, keypoint_set: KeypointSet = COCO) -> list[Keypoints]:
    """The people of a ``supervision.KeyPoints``, of whatever model.

    Args:
        key_points: ``xy`` (N, K, 2); without ``keypoint_confidence`` each keypoint scores 1, or 0 where ``visible``
            says that it is not.
        keypoint_set: what the K keypoints mean.

    Returns:
        N people. Boxes are those that ``to_supervision`` kept, else they span the keypoints that score above 0.2, or
        all of them where there are no two such.

    Raises:
        ValueError: there is another number of keypoints than the set has.
    """
    points = np.asarray(key_points.xy, np.float64)
    if not len(points):
        return []
    if points.ndim != 3 or points.shape[1:] != (len(keypoint_set), 2):
        raise ValueError(f"KeyPoints.xy must be (N, {len(keypoint_set)}, 2) for this keypoint set, got {points.shape}")
    scores = key_points.keypoint_confidence
    if scores is None:
        scores = np.ones(points.shape[:2]) if key_points.visible is None else key_points.visible
    scores = np.asarray(scores, np.float64)
    kept = key_points.data.get(BOXES)
    if kept is None:
        boxes = [_spanned(xy, score) for xy, score in zip(points, scores, strict=True)]
    else:
        boxes = [Box(*map(float, row)) for row in kept]
    return [
        Keypoints(xy, score, keypoint_set.names, box, keypoint_set)
        for xy, score, box in zip(points, scores, boxes, strict=True)
    ]


def _spanned(points: FloatArray, scores: FloatArray) -> Box:
    """The smallest box around the keypoints, at least a pixel wide and high; pixel centres are at integers."""
    counted = points[scores > COUNTED_SCORE]
    if len(counted) < 2:
        counted = points
    low, high = counted.min(axis=0), counted.max(axis=0)
    return Box(*map(float, low), *map(float, high - low + 1))
