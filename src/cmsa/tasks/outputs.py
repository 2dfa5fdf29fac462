"""What a network puts out for crops -> values in the full picture, one reader for each task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cmsa.geometry.crops import FloatArray, apply_affine, invert_affine
from cmsa.geometry.rotations import flip_angles
from cmsa.models.description import Description
from cmsa.structures import Box, ClassScores, HeadPose, Keypoints, Predictions
from cmsa.tasks.described import head_pose_task, pose_task
from cmsa.tasks.head_pose import HeadPoseTask
from cmsa.tasks.pose.task import PoseTask

Network = Callable[[Tensor], Tensor]
"""Normalised images (B, 3, H, W) float32 -> the head's output (B, ...). PyTorch's module, or another runtime's."""


class OutputReader(Protocol):
    """Runs a network on a batch and makes values of its output."""

    def read(
        self, network: Network, images: Tensor, matrices: Sequence[FloatArray], boxes: Sequence[Box], flip_test: bool
    ) -> Predictions:
        """Values of a batch.

        Args:
            network: what to run.
            images: (B, 3, H, W), normalised.
            matrices: B affine maps (2, 3) from the picture to the crop.
            boxes: B boxes that the crops were cut from.
            flip_test: average with what the network says of the mirrored images.
        """


def output_reader(description: Description, heatmap_size: tuple[int, int]) -> OutputReader:
    """The reader that fits a model.

    Args:
        description: of the model.
        heatmap_size: (h, w) of its first stage's map; only pose needs it.
    """
    if description.task == "pose":
        return PoseReader(pose_task(description, heatmap_size))
    if description.task == "head_pose":
        return HeadPoseReader(head_pose_task(description))
    return ClassReader(description.names)


@dataclass(frozen=True)
class PoseReader:
    """Heatmaps -> keypoints."""

    task: PoseTask

    def read(
        self, network: Network, images: Tensor, matrices: Sequence[FloatArray], boxes: Sequence[Box], flip_test: bool
    ) -> list[Keypoints]:
        """As ``OutputReader.read``."""
        points, scores = self.task.decode(self.task.predict(network, images, flip_test))
        return [
            Keypoints(apply_affine(invert_affine(matrix), xy), score, self.task.keypoint_set.names, box)
            for xy, score, matrix, box in zip(_numbers(points), _numbers(scores), matrices, boxes, strict=True)
        ]


@dataclass(frozen=True)
class HeadPoseReader:
    """Numbers of an angle head -> angles."""

    task: HeadPoseTask

    def read(
        self, network: Network, images: Tensor, matrices: Sequence[FloatArray], boxes: Sequence[Box], flip_test: bool
    ) -> list[HeadPose]:
        """As ``OutputReader.read``."""
        angles = self.task.decode(network(images))
        if flip_test:
            angles = (angles + flip_angles(self.task.decode(network(images.flip(3))))) / 2
        rows = _numbers(angles).tolist()
        return [HeadPose(yaw, pitch, roll, box) for (yaw, pitch, roll), box in zip(rows, boxes, strict=True)]


@dataclass(frozen=True)
class ClassReader:
    """Logits -> probabilities; classes without names are called by their numbers."""

    names: tuple[str, ...]

    def read(
        self, network: Network, images: Tensor, matrices: Sequence[FloatArray], boxes: Sequence[Box], flip_test: bool
    ) -> list[ClassScores]:
        """As ``OutputReader.read``."""
        probabilities = network(images).double().softmax(dim=1)
        if flip_test:
            probabilities = (probabilities + network(images.flip(3)).double().softmax(dim=1)) / 2
        names = self.names or tuple(map(str, range(probabilities.shape[1])))
        return [ClassScores(row, names, box) for row, box in zip(_numbers(probabilities), boxes, strict=True)]


def _numbers(values: Tensor) -> FloatArray:
    return np.asarray(values.detach().to("cpu", torch.float64).numpy(), dtype=np.float64)
