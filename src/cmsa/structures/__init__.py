"""Small frozen values at the boundary of the library: what goes in, what comes out, what keypoints mean."""

from cmsa.structures.keypoint_set import COCO, KeypointSet, KeypointSetError, keypoint_set
from cmsa.structures.values import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Box,
    ClassScores,
    FloatArray,
    HeadPose,
    Keypoints,
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
    "keypoint_set",
]
