"""Detectors that do not look: the whole picture, and boxes from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cmsa.data.boxes import DetectionFile, usable_boxes
from cmsa.inference.detectors.detections import Detections, DetectorError, Picture
from cmsa.structures import Box

WHOLE = "whole picture"
"""The source of a box that is the whole picture: results say that nobody looked for anything there."""


class WholePicture:
    """Takes each picture as one person, face or thing."""

    source = WHOLE

    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """One box, the picture's own, with score 1."""
        height, width = picture.shape[:2]
        return Detections((Box(0, 0, width, height),), (1.0,), ("",), WHOLE)


class DetectionFileDetector:
    """Boxes of a COCO detection file, found by the picture's name.

    Args:
        path: of the file, see ``cmsa.data.boxes.DetectionFile``.
        category: entries of another ``category_id`` are left out; None keeps all.

    Raises:
        BoxesError: the file cannot be read.
    """

    def __init__(self, path: str | Path, category: int | None = None) -> None:
        self.file = DetectionFile.read(path, category)
        self.source = Path(path).name

    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """The file's usable boxes for the picture; none where it does not name the picture.

        Raises:
            DetectorError: the picture has no name.
        """
        if name is None:
            raise DetectorError(f"{self.file.path}: boxes are found by a picture's path, and this picture has none")
        found = self.file.find(name)
        if found is None:
            return Detections((), (), (), self.source)
        return _checked(found.boxes, found.scores, picture, self.source)


class GivenBoxes:
    """The same boxes for every picture.

    Args:
        boxes: as ``usable_boxes`` takes them.
    """

    source = "given"

    def __init__(self, boxes: Sequence[object]) -> None:
        self.boxes = list(boxes)

    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """Those of the boxes that can be used for the picture, with score 1."""
        return _checked(self.boxes, [1.0] * len(self.boxes), picture, self.source)


def _checked(boxes: Sequence[object], scores: Sequence[float], picture: Picture, source: str) -> Detections:
    usable, reasons = usable_boxes(boxes, *picture.shape[:2])
    kept = tuple(scores[place] for place in usable)
    return Detections(tuple(usable.values()), kept, ("",) * len(usable), source, reasons)
