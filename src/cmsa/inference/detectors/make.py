"""Detectors by name: ``none``, ``motion``, ``torchvision:NAME``, ``face:FILE.onnx``, ``FILE.onnx``, ``FILE.json``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from cmsa.inference.detectors.detections import Detector, DetectorError
from cmsa.inference.detectors.faces import FaceDetector
from cmsa.inference.detectors.looked_up import DetectionFileDetector, WholePicture
from cmsa.inference.detectors.motion import MotionDetector
from cmsa.inference.detectors.onnx_file import OnnxDetector
from cmsa.inference.detectors.options import Reader, classes, number, read_options, size, split_options, whole
from cmsa.inference.detectors.torchvision_model import USUAL, TorchvisionDetector

_ONNX: dict[str, Reader] = {
    "layout": str,
    "classes": classes,
    "score": number(1),
    "iou": number(1),
    "size": size,
    "threads": whole(),
}
_MOTION: dict[str, Reader] = {
    "method": str,
    "history": whole(),
    "threshold": number(),
    "minimum_size": number(1),
    "merge": number(1),
    "warm_up": whole(),
    "flood": number(1),
    "side": whole(16),
}

# What is made of the part behind the colon, and the options it takes.
DETECTORS: dict[str, tuple[Callable[..., Detector], dict[str, Reader]]] = {
    "none": (lambda argument: WholePicture(), {}),
    "motion": (lambda argument, **options: MotionDetector(**options), _MOTION),
    "torchvision": (
        lambda argument, **options: TorchvisionDetector(argument or USUAL, **options),
        {"classes": classes, "score": number(1), "device": str},
    ),
    "face": (FaceDetector, {"score": number(1), "iou": number(1)}),
}
FILES: dict[str, tuple[Callable[..., Detector], dict[str, Reader]]] = {
    ".json": (DetectionFileDetector, {"category": whole(0)}),
    ".onnx": (OnnxDetector, _ONNX),
}
"""By the end of the file's name."""
_WITHOUT_ARGUMENT = "none", "motion"
USAGE = "none, motion, torchvision:NAME, face:FILE.onnx, head:DETECTOR, FILE.onnx or FILE.json"
_HEAD = "head"
"""Needs a predictor, and so is made above this room."""


def make_detector(text: str, **defaults: Any) -> Detector:
    """A detector from what a user writes.

    Args:
        text: one of ``none``, ``motion``, ``torchvision`` or ``torchvision:NAME``, ``face:FILE.onnx``, ``FILE.onnx``
            and ``FILE.json``; behind it options as in an address: ``yolo.onnx?layout=yolov8&classes=0&score=0.35``,
            ``motion?method=knn&history=200``.
        **defaults: options by name, taken where the detector knows them and the text does not say otherwise.

    Raises:
        DetectorError: there is no such detector or option, or the detector cannot be made.
        BoxesError: a file of boxes cannot be read.

    Examples:
        >>> make_detector("motion?history=200&minimum_size=0.1").source
        'motion'
        >>> make_detector("movement")
        Traceback (most recent call last):
            ...
        cmsa.inference.detectors.detections.DetectorError: no detector 'movement'; there are ...
    """
    name, given = _split(text)
    kind, _, argument = name.partition(":")
    if kind in DETECTORS and not (argument and kind in _WITHOUT_ARGUMENT):
        make, readers = DETECTORS[kind]
        if kind == "face" and not argument:
            raise DetectorError("face: needs the file of OpenCV's face detector, e.g. face:yunet.onnx")
    elif (suffix := Path(name).suffix.lower()) in FILES:
        make, readers = FILES[suffix]
        argument = name
    elif kind == _HEAD and argument:
        raise DetectorError(
            f"{text}: is a detector of cmsa predict, cmsa serve and cmsa.stream; elsewhere give "
            f"detector=cmsa.inference.heads.make_head_detector({text!r})"
        )
    else:
        raise DetectorError(f"no detector {text!r}; there are {USAGE}")
    known = {key: value for key, value in defaults.items() if key in readers}
    return make(argument, **(known | read_options(readers, given, name)))


def as_detector(given: object) -> Detector:
    """A detector from one, or from what ``make_detector`` takes.

    Raises:
        DetectorError: it is neither, and as for ``make_detector``.

    Examples:
        >>> as_detector(3)
        Traceback (most recent call last):
            ...
        cmsa.inference.detectors.detections.DetectorError: a detector takes (picture, name) ... or is named by text ...
    """
    if isinstance(given, str | Path):
        return make_detector(str(given))
    if not callable(given) or not isinstance(getattr(given, "source", None), str):
        raise DetectorError(
            f"a detector takes (picture, name) and has a source, or is named by text: {USAGE}; got {given!r}"
        )
    return cast(Detector, given)


def _split(text: str) -> tuple[str, dict[str, str]]:
    """The name and the options behind it."""
    name, options = split_options(text)
    if name == text:
        return text, {}
    try:
        return name, dict(parse_qsl(options, strict_parsing=True, keep_blank_values=True))
    except ValueError as error:
        raise DetectorError(f"{text}: options are written NAME=VALUE&NAME=VALUE ({error})") from error
