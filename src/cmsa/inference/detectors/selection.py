"""Which detections count: sure enough, large enough, and not too many; widened where asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cmsa.inference.detectors.detections import Detections, Detector, Picture
from cmsa.inference.detectors.looked_up import WHOLE
from cmsa.structures import Box


@dataclass(frozen=True)
class Selection:
    """What to keep of a detector's findings.

    Attributes:
        score: the least score, 0 to 1; with 0 all count, those of a detector with negative scores, too.
        minimum_size: the least longer side of a box, in pixels.
        maximum: how many to keep, the best scores first; None keeps all.
        expansion: by how much each side of a box grows about its centre: 1.1 adds a tenth.

    Raises:
        ValueError: one of them is out of its range.

    Examples:
        >>> from cmsa import Box
        >>> from cmsa.inference.detectors import Detections
        >>> found = Detections((Box(0, 0, 10, 20), Box(5, 5, 8, 8)), (0.9, 0.4), ("person", "person"), "mine")
        >>> Selection(score=0.5, expansion=1.1)(found).boxes
        (Box(x=-0.5, y=-1.0, width=11.0, height=22.0),)
    """

    score: float = 0.0
    minimum_size: float = 0.0
    maximum: int | None = None
    expansion: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise ValueError(f"the least score of a detection must be 0 to 1, got {self.score}")
        if not self.minimum_size >= 0:
            raise ValueError(f"the least size of a box must be 0 pixels or more, got {self.minimum_size}")
        if self.maximum is not None and self.maximum < 1:
            raise ValueError(f"the greatest number of boxes must be at least 1, got {self.maximum}")
        if not 0 < self.expansion < math.inf:
            raise ValueError(f"the expansion of a box must be a positive factor, got {self.expansion}")

    def asked(self) -> dict[str, bool]:
        """Which of its options say something, by their names in ``cmsa predict``."""
        return {
            "threshold": self.score > 0,
            "min_size": self.minimum_size > 0,
            "max_people": self.maximum is not None,
            "expand": self.expansion != 1,
        }

    def __call__(self, found: Detections) -> Detections:
        """The detections that count, in the order of the detector's."""
        large = [
            place
            for place, box in enumerate(found.boxes)
            if (not self.score or found.scores[place] >= self.score) and max(box.width, box.height) >= self.minimum_size
        ]
        best = sorted(large, key=lambda place: -found.scores[place])[: self.maximum]
        kept = found.take(sorted(best))
        if self.expansion == 1:
            return kept
        return replace(kept, boxes=tuple(expand(box, self.expansion) for box in kept.boxes))


@dataclass(frozen=True)
class SelectiveDetector:
    """A detector of whose findings a selection counts.

    Attributes:
        detector: what finds.
        selection: what counts of it.
    """

    detector: Detector
    selection: Selection

    @property
    def source(self) -> str:
        """The detector's."""
        return self.detector.source

    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """What the detector finds and the selection keeps; a whole picture that nobody looked at stays whole."""
        found = self.detector(picture, name)
        return found if found.source == WHOLE else self.selection(found)


def expand(box: Box, factor: float) -> Box:
    """A box with the same centre and ``factor`` times the sides."""
    width, height = box.width * factor, box.height * factor
    return Box(box.x + (box.width - width) / 2, box.y + (box.height - height) / 2, width, height)
