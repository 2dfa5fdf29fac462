"""Detections of one frame after the other -> ids that stay, keypoints that do not tremble. Plain numpy."""

from cmsa.inference.trackers.iou import IouTracker
from cmsa.inference.trackers.one_euro import KeypointSmoother, OneEuroFilter

__all__ = ["IouTracker", "KeypointSmoother", "OneEuroFilter"]
