"""What a detector is, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cmsa.structures import Box

Picture = NDArray[np.uint8]


class DetectorError(ValueError):
    """A detector that cannot be made or run; the message says what was asked for and what was seen."""


@dataclass(frozen=True)
class Detections:
    """What was found in one picture, the best first where the detector gives scores.

    Attributes:
        boxes: N boxes in pixels of the picture. They may reach beyond it.
        scores: N numbers from 0 to 1.
        labels: N names of what it is, e.g. ``person``; a number as text where the detector has no names.
        source: who says so, as results name it, e.g. ``motion`` or ``nanodet.onnx``.
        reasons: of boxes that were given, why some cannot be used, by their places among those given.

    Examples:
        >>> from cmsa import Box
        >>> found = Detections((Box(0, 0, 10, 20), Box(5, 5, 8, 8)), (0.9, 0.4), ("person", "person"), "mine")
        >>> found.take([0]).scores
        (0.9,)
    """

    boxes: tuple[Box, ...]
    scores: tuple[float, ...]
    labels: tuple[str, ...]
    source: str
    reasons: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = len(self.boxes), len(self.scores), len(self.labels)
        if len(set(counts)) != 1:
            raise ValueError(f"Detections: {counts[0]} boxes, {counts[1]} scores and {counts[2]} labels")

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, places: Sequence[int]) -> Detections:
        """Those at the given places, in the order of these."""
        return Detections(
            tuple(self.boxes[place] for place in places),
            tuple(self.scores[place] for place in places),
            tuple(self.labels[place] for place in places),
            self.source,
            self.reasons,
        )


class Detector(Protocol):
    """Finds people, faces or things in a picture.

    A detector may remember what it saw (``motion`` does), so pictures of one camera come in order to one detector.
    """

    @property
    def source(self) -> str:
        """What results call this detector."""

    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """Find boxes.

        Args:
            picture: (H, W, 3) uint8 RGB.
            name: the picture's path where it has one; only detectors that look boxes up need it.
        """


def from_corners(
    corners: NDArray[np.floating], scores: NDArray[np.floating], labels: Sequence[str], source: str
) -> Detections:
    """Detections of (N, 4) corners x1, y1, x2, y2 in pixel edges; those without area or not finite are left out."""
    usable = np.isfinite(corners).all(axis=1) & (corners[:, 2:] > corners[:, :2]).all(axis=1)
    kept = [place for place in np.argsort(-scores, kind="stable") if usable[place]]
    boxes = []
    for place in kept:
        left, top, right, bottom = (float(number) for number in corners[place])
        boxes.append(Box(left, top, right - left, bottom - top))
    return Detections(
        tuple(boxes), tuple(float(scores[place]) for place in kept), tuple(labels[place] for place in kept), source
    )
