"""What a stream gives: pictures, and what is to be told between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """A picture, or one frame of a video or camera.

    Attributes:
        picture: (H, W, 3) uint8 RGB, turned upright as its metadata say.
        source: where it comes from, as results and messages name it; never with a password.
        number: of the frame in its source, counting skipped ones, from 0; 0 for a picture file.
        time: in seconds: of a video from its beginning, of a camera since its first frame; None for a picture file.
        path: of a picture file.
        place: where what is made of it goes below a folder of results, without suffix; all frames of a source have one.
        live: it comes from a camera, and whoever watches does not want to wait.
    """

    picture: Picture
    source: str
    number: int = 0
    time: float | None = None
    path: Path | None = None
    place: Path = Path()
    live: bool = False

    @property
    def label(self) -> str:
        """The source and, of a video or camera, which frame of it, for tables and messages."""
        return self.source if self.time is None else f"{self.source}, frame {self.number} at {self.time:.2f} s"

    def __repr__(self) -> str:
        height, width = self.picture.shape[:2]
        return f"Frame({self.label}, {height}x{width} (HxW) pixels)"


@dataclass(frozen=True)
class Notice:
    """Something to be told: a picture that cannot be read, a video that is cut short, a camera that is gone.

    Attributes:
        source: as ``Frame.source``.
        text: what happened.
        failed: whether something was lost for good; a camera that will be tried again is not.
        number: of the frame that was lost, or of the last one before it happened; None for a picture file and for
            what never began.
        missing: whether what was named is not there at all.
    """

    source: str
    text: str
    failed: bool = True
    number: int | None = None
    missing: bool = False

    @property
    def label(self) -> str:
        """The source and, of a video or camera, the frame, for tables and messages."""
        return self.source if self.number is None else f"{self.source}, frame {self.number}"


Item = Frame | Notice
