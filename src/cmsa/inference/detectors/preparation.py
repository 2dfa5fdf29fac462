"""A picture as a detector's network wants it, and the way back from the network's pixels to the picture's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cmsa.inference.detectors.detections import Picture

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Placement:
    """Where the picture lies in the network's input: input = picture * scale + offset, in pixel edges, (x, y)."""

    scale: tuple[float, float]
    offset: tuple[float, float]

    def back(self, corners: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 4) x1, y1, x2, y2 in the input -> in the picture."""
        scale, offset = np.array(self.scale * 2), np.array(self.offset * 2)
        return np.asarray((corners.astype(np.float64) - offset) / scale)


@dataclass(frozen=True)
class Preparation:
    """How a network was trained to see pictures.

    Attributes:
        resizing: ``center`` and ``corner`` keep the aspect and fill up on both sides or at right and bottom;
            ``stretch`` does not keep it.
        color: order of the channels.
        mean: taken off each channel, on the scale 0 to 255, in the order of ``color``.
        std: what is left is divided by it.
        fill: grey of what is filled up, 0 to 255.
    """

    resizing: Literal["center", "corner", "stretch"] = "center"
    color: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    fill: int = 114

    def __call__(self, picture: Picture, size: tuple[int, int] | None) -> tuple[Floats, Placement]:
        """Prepare a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            size: (height, width) of the network's input; None leaves the picture's own.

        Returns:
            (1, 3, height, width) float32, and where the picture lies in it.
        """
        canvas, placement = (picture, Placement((1, 1), (0, 0))) if size is None else self._place(picture, size)
        channels = canvas if self.color == "rgb" else canvas[:, :, ::-1]
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        normalized = (channels.astype(np.float32) - mean) / std
        return np.ascontiguousarray(normalized.transpose(2, 0, 1))[None], placement

    def _place(self, picture: Picture, size: tuple[int, int]) -> tuple[Picture, Placement]:
        height, width = picture.shape[:2]
        if self.resizing == "stretch":
            new_height, new_width = size
        else:
            ratio = min(size[0] / height, size[1] / width)
            new_height, new_width = max(1, round(height * ratio)), max(1, round(width * ratio))
        resized = cv2.resize(picture, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
        share = 2 if self.resizing == "center" else np.inf
        top, left = int((size[0] - new_height) / share), int((size[1] - new_width) / share)
        canvas = np.full((*size, 3), self.fill, np.uint8)
        canvas[top : top + new_height, left : left + new_width] = resized
        return canvas, Placement((new_width / width, new_height / height), (left, top))
