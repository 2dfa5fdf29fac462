"""Families of exported detectors: how each is fed, and how its outputs are read. A new one is a line in ``LAYOUTS``."""

from cmsa.inference.detectors.layouts.layout import Layout
from cmsa.inference.detectors.layouts.nanodet import NanoDet
from cmsa.inference.detectors.layouts.torchvision import Torchvision
from cmsa.inference.detectors.layouts.yolo import Yolo5, Yolo8, YoloChosen

LAYOUTS: dict[str, Layout] = {
    "torchvision": Torchvision(),
    "nanodet": NanoDet(),
    "yolov10": YoloChosen(),
    "yolov8": Yolo8(),
    "yolov5": Yolo5(),
}
"""By name, in the order in which they are tried on a file whose layout is not given."""

__all__ = ["LAYOUTS", "Layout"]
