"""Our weights as a pose network for crops of any size, called like those of other projects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from cmsa.models.create import load_weights
from cmsa.models.fuse import fuse
from cmsa.models.pretrained import find_weights
from cmsa.models.weights import reading
from cmsa.runtime.finite import NOT_FINITE, first_not_finite
from cmsa.runtime.preprocess import preprocess_of
from cmsa.structures import FloatArray
from cmsa.tasks.foreign import FOREIGN_SUFFIXES
from cmsa.tasks.pose.foreign import ForeignOptions, ForeignPose, check_keypoints
from cmsa.tasks.pose.task import PoseTask

BATCH = 64


class TrainedPose:
    """Weights of ours.

    Args:
        weights: a shipped name, a file, a folder or a hub id.
        keypoints: how many they must put out; None for any number.

    Attributes:
        input_size: (H, W).
        keypoints: how many it puts out.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they are for another task, or put out another number of keypoints.
    """

    def __init__(self, weights: str | Path, keypoints: int | None = None) -> None:
        network = load_weights(find_weights(weights))
        if network.description.task != PoseTask.name:
            raise ValueError(f"weights {weights}: they are for {network.description.task}, not for {PoseTask.name}")
        self.weights, self.input_size = weights, network.input_size
        with reading(network) as description:
            self.task = PoseTask.from_description(description, network.heatmap_size)
        self.keypoints = len(self.task.keypoint_set)
        check_keypoints(weights, self.keypoints, keypoints)
        self.preprocess = preprocess_of(network.description)
        self.network = fuse(network)

    @torch.inference_mode()
    def __call__(
        self, crops: NDArray[np.uint8], flip_index: Sequence[int] | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Keypoints (B, K, 2) in the pixels of crops (B, h, w, 3) uint8 RGB, and scores (B, K).

        Args:
            crops: of any size; they are resampled to the input, see ``resample``.
            flip_index: given, the result is averaged with that for the mirrored crops (by the weights' own pairs).

        Raises:
            ValueError: the network says something that is not finite; the weights are named.
        """
        points, scores = [], []
        for start in range(0, len(crops), BATCH):
            pixels = np.stack([resample(crop, self.input_size) for crop in crops[start : start + BATCH]])
            images = self.preprocess(torch.from_numpy(pixels))
            xy, score = self.task.predict(self.network, images, flip_test=flip_index is not None)
            if first_not_finite((xy, score)) is not None:
                raise ValueError(f"{self.weights}: what the network says {NOT_FINITE}")
            points.append(xy.double().numpy())
            scores.append(score.double().numpy())
        step = np.array([crops.shape[2] / self.input_size[1], crops.shape[1] / self.input_size[0]])
        return (np.concatenate(points) + 0.5) * step - 0.5, np.concatenate(scores)


def open_pose(
    name: str | Path,
    options: ForeignOptions | None = None,
    threads: int | None = None,
    keypoints: int | None = None,
) -> TrainedPose | ForeignPose:
    """A pose network by name: an ONNX or OpenVINO file of another project, else weights of ours.

    Args:
        name: ``FILE.onnx``, ``FILE.xml``, or what ``find_weights`` takes.
        options: of another project's file.
        threads: for one crop, of another project's file.
        keypoints: how many it must put out; None for any number.

    Raises:
        FileNotFoundError: there is no such file, or there are no such weights.
        ValueError: the file is no pose network of a known kind, or says that it puts out another number of keypoints.
    """
    if Path(name).suffix in FOREIGN_SUFFIXES:
        return ForeignPose(name, options, threads, keypoints=keypoints)
    return TrainedPose(name, keypoints)


def resample(crop: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A crop (h, w, 3) at another (H, W): bicubic where that enlarges, averaged where it shrinks, edges to edges."""
    if crop.shape[:2] == size:
        return crop
    kind = cv2.INTER_CUBIC if size[0] > crop.shape[0] else cv2.INTER_AREA
    return np.asarray(cv2.resize(crop, (size[1], size[0]), interpolation=kind), dtype=np.uint8)
