"""What ``FoundKeypoints`` and ``PoseScore`` make of batches, by hand: no network, no codec, no picture."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cmsa.metrics.keypoint_truth import KeypointTruth
from cmsa.metrics.keypoints import FoundKeypoints, PoseScore
from cmsa.structures import KeypointSet

SIGMA = 0.1
TWO = KeypointSet(("head", "tail"), (), (SIGMA, SIGMA), (), (), category_id=7)


def batch(xy: Any, **labels: Any) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
    """Crops of a third of the picture's size, moved by (6, -9): a point p lies at p / 3 + (6, -9) in its crop.

    Args:
        xy: (N, 2, 2) what is found, in pixels of the picture.
        labels: other than those of people in pictures 1, 2, 3, ..., all points marked, at 0, of 100 square pixels.
    """
    found = torch.tensor(xy, dtype=torch.float64)
    count = len(found)
    matrix = torch.tensor([[1 / 3, 0, 6], [0, 1 / 3, -9]], dtype=torch.float64).repeat(count, 1, 1)
    given = {
        "matrix": matrix,
        "image_id": torch.arange(1, count + 1),
        "keypoints": torch.tensor([[[0.0, 0, 1], [0, 0, 1]]]).repeat(count, 1, 1),
        "area": torch.full((count,), 100.0),
        "score": torch.ones(count),
        "box": torch.tensor([[0.0, 0, 10, 20]]).repeat(count, 1),
    }
    given |= {name: torch.as_tensor(value) for name, value in labels.items()}
    crop = found / 3 + torch.tensor([6.0, -9.0])
    return given, (crop.float(), torch.tensor([[0.4, 0.8]]).repeat(count, 1))


def account(**meta: Any) -> FoundKeypoints:
    return FoundKeypoints(TWO, SimpleNamespace(meta=meta))


def truth_of(people: list[tuple[int, list[list[float]], bool]], pictures: list[int]) -> dict[str, Any]:
    """What a store keeps of people: picture, keypoints with their marks, crowd."""
    return {
        "image_id": np.array([picture for picture, _, _ in people]),
        "keypoints": np.array([points for _, points, _ in people], dtype=np.float64).reshape(-1, 2, 3),
        "box": np.tile([0.0, 0, 10, 20], (len(people), 1)),
        "area": np.full(len(people), 100.0),
        "crowd": np.array([crowd for _, _, crowd in people], dtype=bool),
        "pictures": np.array(pictures),
    }


def pose_score(truth: dict[str, Any], points: KeypointSet = TWO, **meta: Any) -> PoseScore:
    return PoseScore(points, SimpleNamespace(truth=truth, meta=meta, keypoint_set=lambda: points))


def test_entries_are_in_pixels_of_the_picture_and_of_the_sets_category() -> None:
    score = account()
    assert (score.box_source, score.detected) == ("ground truth", False)
    score.update(*batch([[[30, 60], [33, 90]]]))
    score.update(*batch([[[3, 6], [9, 12]], [[0, 0], [1, 1]]], image_id=[5, 4], score=[0.5, 0.25]))
    first, second, third = score.entries()
    assert first["keypoints"] == pytest.approx([30, 60, 0.4, 33, 90, 0.8], abs=1e-4)
    assert [(entry["image_id"], entry["category_id"]) for entry in (first, second, third)] == [(1, 7), (5, 7), (4, 7)]
    # The mean of 0.4 and 0.8, times the box's score.
    assert [entry["score"] for entry in (first, second, third)] == pytest.approx([0.6, 0.3, 0.15])
    assert score.compute() == {"boxes": "ground truth", "crops": 3}
    score.reset()
    assert score.compute()["crops"] == 0


def test_who_was_detected_twice_is_left_out_at_the_mean_area_of_the_boxes() -> None:
    """Two points moved by (d, 0) have an OKS of exp(-d² / (2 (2σ)² area)); 0.9 is at d = 1.298 for 10x20 pixels."""
    limit = math.sqrt(-math.log(0.9) * 2 * (2 * SIGMA) ** 2 * 200)
    for distance, count in ((limit - 0.01, 1), (limit + 0.01, 2)):
        score = account(box_source="a detector")
        assert score.detected
        one, other = [[10.0, 10], [20, 20]], [[10.0 + distance, 10], [20 + distance, 20]]
        score.update(*batch([one, other, one], image_id=[3, 3, 9], score=[0.5, 0.9, 0.1]))
        kept = score.entries()
        assert [entry["image_id"] for entry in kept] == [3] * count + [9]
        assert kept[0]["score"] == pytest.approx(0.6 * 0.9)
        assert len(score.results(score.collected(), suppress=False)) == 3


def test_rows_of_people_say_their_oks_and_what_is_marked() -> None:
    truth = truth_of([(1, [[0, 0, 2], [0, 0, 1]], False), (2, [[0, 0, 1], [0, 0, 0]], False)], [1, 2, 3])
    score = pose_score(truth)
    marks = [[[0.0, 0, 2], [0, 0, 1]], [[0, 0, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    # Off by 2σ √area = 2 pixels: exp(-1/2).
    found = [[[2, 0], [0, 0]], [[0, 2], [50, 50]], [[0, 0], [0, 0]]]
    score.update(*batch(found, keypoints=marks, score=[1.0, 0.5, 1.0]))
    rows = score.samples()
    assert [row["image_id"] for row in rows] == [1, 2, 3]
    assert [row["marked"] for row in rows] == [2, 1, 0]
    assert [row["score"] for row in rows] == pytest.approx([0.6, 0.3, 0.6])
    half = math.exp(-0.5)
    assert [row["oks"] for row in rows] == pytest.approx([(1 + half) / 2, half, math.nan], abs=1e-5, nan_ok=True)
    head, tail = score.details()["by_keypoint"]
    assert (head["keypoint"], head["marked"], tail["keypoint"], tail["marked"]) == ("head", 2, "tail", 1)
    assert (head["OKS"], tail["OKS"]) == pytest.approx((half, 1), abs=1e-5)
    # The diagonal of 10x20 is 22.4: what is off by 2 is within a fifth of it, and what is off by 5 is not.
    name = "PCK@0.2 of the box's diagonal"
    assert (head[name], tail[name]) == (1, 1)
    table = score.compute()
    assert (table[name], table["boxes"], table["crops"], table["people"]) == (1, "ground truth", 3, 2)
    assert table["sigmas"] == TWO.sigma_source


def test_rows_of_detected_people_say_who_is_nearest() -> None:
    here, there = [[0, 0, 1], [0, 0, 1]], [[40, 0, 1], [40, 0, 1]]
    unmarked = [[0, 0, 0], [0, 0, 0]]
    people = [(1, here, False), (1, there, False), (2, here, True), (3, unmarked, False), (5, here, False)]
    score = pose_score(truth_of(people, [1, 2, 3, 4, 5]), box_source="a detector")
    found = [[[42, 0], [42, 0]], [[2, 0], [2, 0]], *[[[0, 0], [0, 0]]] * 4]
    nobody = torch.zeros(6, 2, 3)
    score.update(*batch(found, image_id=[1, 1, 2, 3, 4, 5], keypoints=nobody))
    rows = score.samples()
    half = math.exp(-0.5)
    expected = [half, half, math.nan, math.nan, math.nan, 1]
    assert [row["oks"] for row in rows] == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert {row["marked"] for row in rows} == {0}
    assert score.details() == {}
    table = score.compute()
    assert table["boxes"] == "a detector"
    assert not any(name.startswith("PCK") for name in table)


def test_samples_are_ranked_by_their_oks() -> None:
    assert PoseScore.ranked_by == ("oks", "max")


def test_a_truth_draws_what_belongs_together() -> None:
    people = [(4, [[1, 2, 1], [3, 4, 1]], False), (9, [[5, 6, 1], [7, 8, 1]], True)]
    truth = KeypointTruth(**truth_of(people, [4, 9]) | {"area": np.array([10.0, 20])}, keypoint_set=TWO)
    drawn = truth.drawn([9, 4, 9])
    assert drawn.area.tolist() == [20, 10, 20]
    assert drawn.crowd.tolist() == [True, False, True]
    assert drawn.keypoints[1].tolist() == [[1, 2, 1], [3, 4, 1]]
    assert truth.counted.tolist() == [True, False]
