"""Small frozen values at the boundary of the library: what goes in, what comes out, what keypoints mean."""

from cmsa.structures.interchange import from_supervision, to_supervision
from cmsa.structures.keypoint_set import COCO, KeypointSet, KeypointSetError, keypoint_set
from cmsa.structures.keypoints import Keypoints
from cmsa.structures.values import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Box,
    ClassScores,
    FloatArray,
    HeadPose,
    Value,
)

__all__ = [
    "COCO",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Box",
    "ClassScores",
    "FloatArray",
    "HeadPose",
    "KeypointSet",
    "KeypointSetError",
    "Keypoints",
    "Value",
    "from_supervision",
    "keypoint_set",
    "to_supervision",
]
