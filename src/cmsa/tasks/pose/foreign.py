"""Pose networks of other projects, as ONNX or OpenVINO files: crops in, keypoints out.

They are what CMSA is compared with, what a student learns from, and what labels photos. Two kinds of output are known:
heatmaps (B, K, h, w), and points (B, 1, K, 3) of y, x in 0..1 and score (MoveNet's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from cmsa.data.transforms.preprocess import Preprocess
from cmsa.runtime.sessions import Runtime, open_exported, shape_text
from cmsa.structures import IMAGENET_MEAN, IMAGENET_STD, FloatArray
from cmsa.tasks.foreign import Anchor
from cmsa.tasks.pose.codecs.heatmaps import Dark


@dataclass(frozen=True)
class ForeignOptions:
    """What a file does not say of itself.

    Attributes:
        anchor: where heatmap pixel i lies in an input of stride s: ``corner``, at s·i (HRNet's and PaddleDetection's),
            or ``center``, at s·(i + 1/2) - 1/2.
        mean, std: normalisation of RGB in 0..1; None takes ImageNet's for a floating-point input in NCHW, and pixels
            0..255 as they are for one in NHWC or of integers.
    """

    anchor: Anchor = "corner"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class ForeignPose:
    """A pose network of another project.

    Args:
        path: ``.onnx`` or ``.xml``.
        options: what the file does not say.
        threads: for one crop; None leaves it to the runtime.
        runtime: of an ``.onnx`` file, ``onnxruntime`` (default) or ``openvino``.
        keypoints: how many it must put out; None for any number.

    Attributes:
        input_size: (H, W).
        keypoints: how many it puts out; None where only its first answer tells.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its input is no RGB image of a fixed size, or its output neither of heatmaps nor of points; the
            shape is named. Or it says that it puts out another number of keypoints.
    """

    def __init__(
        self,
        path: str | Path,
        options: ForeignOptions | None = None,
        threads: int | None = None,
        runtime: Runtime | None = None,
        keypoints: int | None = None,
    ) -> None:
        self.path, self.options, self.wanted = Path(path), options or ForeignOptions(), keypoints
        self.network = open_exported(path, threads, runtime)
        shape = self.network.input_shape
        self.channels_first = len(shape) == 4 and shape[1] == 3
        sides = shape[2:] if self.channels_first else shape[1:3]
        channels = shape[1] if self.channels_first else shape[-1]
        if len(shape) != 4 or channels != 3 or None in sides:
            raise ValueError(
                f"{path}: the input must be (B, 3, H, W) or (B, H, W, 3) of a fixed size, it is {shape_text(shape)}"
            )
        self.input_size = (int(sides[0] or 0), int(sides[1] or 0))
        said = self.network.output_shape
        self.keypoints = self._keypoints(said) if said else None
        mean, std = self.options.mean or IMAGENET_MEAN, self.options.std or IMAGENET_STD
        floating = self.network.input_type.startswith("float")
        normalised = floating and (self.channels_first or self.options.mean is not None)
        self.preprocess = Preprocess(mean, std) if normalised else None

    def __call__(
        self, crops: NDArray[np.uint8], flip_index: Sequence[int] | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Keypoints of crops.

        Args:
            crops: (B, h, w, 3) uint8 RGB of any size; they are resampled to the input, bicubically where that enlarges.
            flip_index: for each keypoint the index of its mirror image, to average with the mirrored crop (heatmaps
                are averaged; of points the coordinates are).

        Returns:
            (B, K, 2) pixels of the crops, and scores (B, K).

        Raises:
            ValueError: the output is neither of heatmaps nor of points, and its shape is named; or of another number of
                keypoints, or not finite.
        """
        pixels = np.stack([self._fit(crop) for crop in crops])
        output = self._outputs(pixels)
        mirrored = None if flip_index is None else self._outputs(np.ascontiguousarray(pixels[:, :, ::-1]))
        self._keypoints(output.shape)
        if _of_points(output.shape):
            xy, scores = self._points(output[:, 0])
            if mirrored is not None and flip_index is not None:
                other, other_scores = self._points(mirrored[:, 0, list(flip_index)])
                other[..., 0] = self.input_size[1] - 1 - other[..., 0]
                xy, scores = (xy + other) / 2, (scores + other_scores) / 2
        else:
            xy, scores = self._heatmaps(output, mirrored, flip_index)
        return self._unfit(xy, crops.shape[1:3]), scores

    def _keypoints(self, shape: tuple[int | None, ...]) -> int | None:
        """How many keypoints an output of a shape has, None where that is not known.

        Raises:
            ValueError: it has none, or another number than is wanted.
        """
        points = len(shape) == 4 and shape[1] in (None, 1) and shape[3] in (None, 3)
        maps = len(shape) == 4 and all(side is None or side >= 3 for side in shape[2:])
        if not points and not maps:
            raise ValueError(f"{self.path}: the output {shape_text(shape)} is neither (B, K, h, w) nor (B, 1, K, 3)")
        undecided = points and maps and not _of_points(shape)
        found = None if undecided else shape[2] if points else shape[1]
        check_keypoints(self.path, found, self.wanted)
        return found

    def _outputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network says of RGB pixels (B, H, W, 3)."""
        images = torch.from_numpy(pixels)
        if self.preprocess is not None:
            images = self.preprocess(images).permute(0, 2, 3, 1)
        images = images.to(getattr(torch, self.network.input_type))
        output = self.network(images.permute(0, 3, 1, 2) if self.channels_first else images)
        if not output.isfinite().all():
            raise ValueError(f"{self.path}: its answer is not finite, it is damaged or computes with too few digits")
        return np.asarray(output.float().numpy())

    def _points(self, rows: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """(B, K, 3) of y, x in 0..1 and score -> input pixels, scores."""
        height, width = self.input_size
        xy = rows[..., [1, 0]].astype(np.float64) * (width, height) - 0.5
        return xy, rows[..., 2].astype(np.float64)

    def _heatmaps(
        self, maps: NDArray[np.float32], mirrored: NDArray[np.float32] | None, flip_index: Sequence[int] | None
    ) -> tuple[FloatArray, FloatArray]:
        """(B, K, h, w) -> input pixels, scores, by DARK's step."""
        codec = Dark(self.input_size, (maps.shape[2], maps.shape[3]))
        heatmaps = torch.from_numpy(maps)
        if mirrored is not None and flip_index is not None:
            other = torch.from_numpy(mirrored)
            # Where the grid is centred, mirroring needs no shift.
            back = (
                codec.flip_back(other, flip_index)
                if self.options.anchor == "corner"
                else other.flip(3)[:, list(flip_index)]
            )
            heatmaps = (heatmaps + back) / 2
        xy, scores = codec.decode(heatmaps)
        points = xy.double().numpy()
        if self.options.anchor == "center":
            points = points + (np.array(codec.stride) - 1) / 2
        return points, scores.double().numpy()

    def _placement(self, size: tuple[int, int]) -> tuple[float, tuple[int, int], tuple[int, int]]:
        """Where a crop of (h, w) lies in the input: input pixels per crop pixel, its sides and its offset, (x, y)."""
        (height, width), (input_height, input_width) = size, self.input_size
        scale = min(input_height / height, input_width / width)
        offset = int((input_width - scale * width) / 2), int((input_height - scale * height) / 2)
        return scale, (round(scale * width), round(scale * height)), offset

    def _fit(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A crop resampled to the input, its aspect kept, black at the sides."""
        scale, (width, height), (left, top) = self._placement((crop.shape[0], crop.shape[1]))
        resized = cv2.resize(crop, (width, height), interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
        if (height, width) == self.input_size:
            return np.asarray(resized, dtype=np.uint8)
        canvas = np.zeros((*self.input_size, 3), dtype=np.uint8)
        canvas[top : top + height, left : left + width] = resized
        return canvas

    def _unfit(self, xy: FloatArray, size: tuple[int, int]) -> FloatArray:
        """Input pixels -> crop pixels."""
        _, sides, offset = self._placement(size)
        back: FloatArray = (xy - offset + 0.5) * (np.array(size[::-1]) / sides) - 0.5
        return back


def check_keypoints(path: str | Path, found: int | None, wanted: int | None) -> None:
    """Refuse a network of another number of keypoints; None is any, or not known.

    Raises:
        ValueError: the two differ; the file is named.
    """
    if None not in (found, wanted) and found != wanted:
        raise ValueError(f"{path}: puts out {found} keypoints, {wanted} are asked for")


def _of_points(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 4 and shape[1] == 1 and shape[3] == 3
