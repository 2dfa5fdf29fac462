"""How sure an average precision is: the pictures are drawn anew, each with all of its people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.metrics.bootstrap import RESAMPLES, Interval, bootstrap
from cmsa.metrics.keypoint_truth import KeypointTruth
from cmsa.metrics.oks import evaluate_keypoints
from cmsa.structures import KeypointSet

SCORES = ("AP", "AP50", "AP75", "AR")
"""Not those of one size of people: a draw may have none."""


def keypoint_intervals(
    truth: KeypointTruth,
    results: Sequence[Mapping[str, Any]],
    keypoint_set: KeypointSet | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """The intervals of ``SCORES`` at 95 %, see ``bootstrap``; drawn are the pictures with people.

    Args:
        truth: who is to be found.
        results: COCO results for the same pictures.
        keypoint_set: whose sigmas count; that of the truth by default.
        resamples: how often the pictures are drawn.
        seed: of the draw.
    """
    found: dict[int, list[Mapping[str, Any]]] = {}
    for entry in results:
        found.setdefault(entry["image_id"], []).append(entry)
    pictures = np.unique(truth.image_id)

    def scores(drawn: NDArray[np.int64]) -> dict[str, float]:
        chosen = pictures[drawn].tolist()
        said = [{**entry, "image_id": number} for number, old in enumerate(chosen) for entry in found.get(old, [])]
        table = evaluate_keypoints(truth.drawn(chosen), said, keypoint_set)
        return {name: table[name] for name in SCORES}

    return bootstrap(scores, len(pictures), resamples, seed)
