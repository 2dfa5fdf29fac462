"""Which frames of a video or camera are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Pace:
    """Takes every n-th frame, or at most so many a second.

    Attributes:
        every: 1 takes every frame, 3 every third.
        fps: at most so many frames a second, by the frames' own times; None takes all.

    Raises:
        ValueError: both are given, or one is out of its range.
    """

    every: int = 1
    fps: float | None = None
    _due: float = -math.inf

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise ValueError(f"fps must be a positive number, got {self.fps}")
        if self.every > 1 and self.fps is not None:
            raise ValueError("give either every or fps, not both")

    def takes(self, number: int, time: float) -> bool:
        """Whether to take the frame of this number and time in seconds; asked once for each frame, in order."""
        if self.fps is None:
            return number % self.every == 0
        # Times in files are rounded, to a millisecond in some.
        if time < self._due - 1e-3:
            return False
        # The raster stays where it began, so that the rate holds; after a gap it begins anew.
        late = time - self._due
        self._due = self._due + 1 / self.fps if late < 1 / self.fps else time + 1 / self.fps
        return True
