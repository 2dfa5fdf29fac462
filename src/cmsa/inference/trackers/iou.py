"""Ids that stay with a person: boxes of one frame are given to those of the frames before so that they overlap most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmsa.structures import Box, FloatArray


@dataclass
class _Track:
    """The last box of an id, and for how many frames it was not seen."""

    identity: int
    box: Box
    unseen: int = 0


class IouTracker:
    """Tracks by intersection over union; who goes with whom is decided for all at once (Kuhn's Hungarian method).

    Args:
        minimum_iou: a box that overlaps less with a track's last one is not its next.
        maximum_age: frames that an id may go unseen before it is forgotten; a person who comes back later is new.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> from cmsa import Box
        >>> tracker = IouTracker()
        >>> tracker([Box(0, 0, 10, 20), Box(50, 0, 10, 20)])
        [1, 2]
        >>> tracker([Box(52, 1, 10, 20)])  # the second one has moved
        [2]
    """

    def __init__(self, minimum_iou: float = 0.3, maximum_age: int = 30) -> None:
        if not 0 < minimum_iou <= 1 or maximum_age < 0:
            raise ValueError(
                f"the least overlap must be above 0 and at most 1, the age at least 0, got {minimum_iou}, {maximum_age}"
            )
        self.minimum_iou, self.maximum_age = minimum_iou, maximum_age
        self._tracks: list[_Track] = []
        self._last = 0

    def __call__(self, boxes: Sequence[Box]) -> list[int]:
        """The ids of the boxes of the next frame, counted from 1; every box has one, and no two the same."""
        from scipy.optimize import linear_sum_assignment

        overlaps = box_iou([track.box for track in self._tracks], boxes)
        # A pair that overlaps too little must not keep others from their best.
        rows, columns = linear_sum_assignment(np.where(overlaps < self.minimum_iou, 0.0, overlaps), maximize=True)
        identities = [0] * len(boxes)
        for track in self._tracks:
            track.unseen += 1
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if overlaps[row, column] >= self.minimum_iou:
                track = self._tracks[row]
                track.box, track.unseen = boxes[column], 0
                identities[column] = track.identity
        self._tracks = [track for track in self._tracks if track.unseen <= self.maximum_age]
        for column, box in enumerate(boxes):
            if not identities[column]:
                self._last += 1
                identities[column] = self._last
                self._tracks.append(_Track(self._last, box))
        return identities

    @property
    def identities(self) -> frozenset[int]:
        """Those that are remembered, seen in the last frame or not."""
        return frozenset(track.identity for track in self._tracks)


def box_iou(first: Sequence[Box], second: Sequence[Box]) -> FloatArray:
    """(N, M) intersection over union of N and M boxes."""
    one, other = (np.array([box.xywh for box in boxes], dtype=np.float64).reshape(-1, 4) for boxes in (first, second))
    starts = np.maximum(one[:, None, :2], other[None, :, :2])
    ends = np.minimum((one[:, :2] + one[:, 2:])[:, None], (other[:, :2] + other[:, 2:])[None])
    shared = np.clip(ends - starts, 0, None).prod(axis=2)
    areas = one[:, 2:].prod(axis=1)[:, None] + other[:, 2:].prod(axis=1)[None]
    return np.asarray(shared / (areas - shared))
