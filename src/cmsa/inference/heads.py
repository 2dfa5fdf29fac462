"""Faces without a face detector: the head part of people's keypoints."""

from __future__ import annotations

from dataclasses import dataclass

from cmsa.inference.detectors import Detections, Detector, DetectorError, make_detector
from cmsa.inference.detectors.detections import Picture
from cmsa.inference.detectors.faces import HEAD_OF_KEYPOINTS, head_box
from cmsa.inference.predictor import Predictor
from cmsa.models.pretrained import default_weights
from cmsa.structures import Keypoints

PREFIX = "head:"
"""``head:motion`` stands for the heads of the people that ``motion`` finds."""


@dataclass
class HeadDetector:
    """Finds people, predicts their keypoints, and takes the square about each face.

    Attributes:
        people: finds people.
        predictor: predicts keypoints named as COCO's.
    """

    people: Detector
    predictor: Predictor

    @property
    def source(self) -> str:
        """Says that the faces are those of keypoints, and who found the people."""
        return f"{HEAD_OF_KEYPOINTS}, {self.people.source}"

    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """The faces of the people, each with its person's score; who shows neither nose nor eyes has none."""
        people = self.people(picture, name)
        cut = self.predictor.cut(picture, people.boxes)
        values = next(self.predictor.predict_cuts([cut]))
        heads = [head_box(value) if isinstance(value, Keypoints) else None for value in values]
        found = [(box, people.scores[place]) for box, place in zip(heads, cut.places, strict=True) if box is not None]
        boxes, scores = tuple(box for box, _ in found), tuple(score for _, score in found)
        return Detections(boxes, scores, ("face",) * len(found), self.source)


def make_head_detector(text: str, threads: int | None = None, **defaults: object) -> HeadDetector:
    """A detector of heads from ``head:DETECTOR``, with the shipped weights for human pose.

    Args:
        text: what ``make_detector`` takes, behind ``head:``.
        threads: of PyTorch.
        **defaults: as for ``make_detector``; of a COCO file, people count.

    Raises:
        DetectorError: there is no such detector.
    """
    of_people = text.removeprefix(PREFIX)
    if not of_people:
        raise DetectorError(f"{PREFIX} needs a detector of people behind it, e.g. {PREFIX}nanodet.onnx")
    predictor = Predictor.from_pretrained(default_weights("pose"), threads=threads)
    defaults = {"category": predictor.task.category} | defaults
    return HeadDetector(make_detector(of_people, threads=threads, **defaults), predictor)
