"""Pictures -> boxes: where people, faces and things are. A new kind of detector is a line in ``make.DETECTORS``."""

from cmsa.inference.detectors.detections import Detections, Detector, DetectorError
from cmsa.inference.detectors.given import given_boxes
from cmsa.inference.detectors.make import as_detector, make_detector
from cmsa.inference.detectors.selection import Selection

__all__ = ["Detections", "Detector", "DetectorError", "Selection", "as_detector", "given_boxes", "make_detector"]
