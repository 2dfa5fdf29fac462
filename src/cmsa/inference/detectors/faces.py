"""Faces: by OpenCV's YuNet with the user's model file, or from a person's keypoints."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from cmsa.inference.detectors.detections import Detections, DetectorError, Picture
from cmsa.structures import Box, Keypoints

HEAD_OF_KEYPOINTS = "head of keypoints"
"""The source of a face's box that ``head_box`` made."""

_WANTED = "it is no YuNet model, such as face_detection_yunet_2023mar.onnx of OpenCV's zoo, or is damaged"
_EYES, _EARS, _SHOULDERS, _NOSE_TO_EAR = 6.3, 15.0, 36.0, 12.0
_FACE = 19.0
"""Centimetres on a grown-up: between the eyes, the ears and the shoulder joints, from nose to ear; a face's height."""


class FaceDetector:
    """YuNet (Wu et al., MIR 2023) through ``cv2.FaceDetectorYN``.

    Args:
        path: of the user's model, e.g. ``face_detection_yunet_2023mar.onnx`` of the OpenCV zoo.
        score: the least score.
        iou: faces that overlap more are one.

    Raises:
        DetectorError: the file is missing, or no such model.
    """

    def __init__(self, path: str | Path, *, score: float = 0.7, iou: float = 0.3) -> None:
        if not Path(path).is_file():
            raise DetectorError(f"{path}: there is no such face detector file")
        self.path, self.source = Path(path), f"face:{Path(path).name}"
        try:
            self.detector = cv2.FaceDetectorYN.create(str(path), "", (320, 320), score, iou)
        except cv2.error as error:
            raise DetectorError(f"{path}: OpenCV cannot open it as a face detector: {_WANTED}") from error
        # Some networks of another kind open, and fail when they are run.
        self(np.zeros((64, 96, 3), np.uint8))

    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """Find faces.

        Raises:
            DetectorError: the model is not YuNet's.
        """
        self.detector.setInputSize((picture.shape[1], picture.shape[0]))
        try:
            _, found = self.detector.detect(np.ascontiguousarray(picture[:, :, ::-1]))
        except cv2.error as error:
            raise DetectorError(f"{self.path}: OpenCV cannot run it as a face detector: {_WANTED}") from error
        rows = [] if found is None else [row for row in found.tolist() if row[2] > 0 and row[3] > 0]
        rows.sort(key=lambda row: -row[-1])
        boxes = tuple(Box(*row[:4]) for row in rows)
        return Detections(boxes, tuple(min(1.0, row[-1]) for row in rows), ("face",) * len(rows), self.source)


def head_box(person: Keypoints, *, least_score: float = 0.2) -> Box | None:
    """The square about a person's face, from the eyes, ears, nose and shoulders.

    Lengths between keypoints shrink when the head turns and never grow, so the scale is the largest that any pair
    gives by the proportions of a grown-up.

    Args:
        person: with keypoints named as COCO's.
        least_score: keypoints below it are not believed.

    Returns:
        A square box; None where neither nose nor eyes are believed, or no pair of keypoints gives a scale.
    """
    believed = {
        name: xy for name, xy, score in zip(person.names, person.xy, person.scores, strict=True) if score >= least_score
    }
    pairs = (
        ("left_eye", "right_eye", _EYES),
        ("left_ear", "right_ear", _EARS),
        ("left_shoulder", "right_shoulder", _SHOULDERS),
        ("nose", "left_ear", _NOSE_TO_EAR),
        ("nose", "right_ear", _NOSE_TO_EAR),
    )
    scale = max(
        (
            float(np.linalg.norm(believed[first] - believed[second])) / length
            for first, second, length in pairs
            if first in believed and second in believed
        ),
        default=0.0,
    )
    middle = [believed[name] for name in ("nose", "left_eye", "right_eye") if name in believed]
    if not middle or scale <= 0:
        return None
    x, y = np.mean(middle, axis=0)
    side = _FACE * scale
    return Box(float(x) - (side - 1) / 2, float(y) - (side - 1) / 2, side, side)
