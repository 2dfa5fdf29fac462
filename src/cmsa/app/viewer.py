"""Weights that look at a picture as a camera of lower resolution gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmsa.data.crops import cut_crop
from cmsa.inference.predictor import Predictor
from cmsa.models.attention_maps import AttentionMap, watch_attention
from cmsa.models.create import load_weights
from cmsa.models.fuse import fuse
from cmsa.models.pretrained import find_weights
from cmsa.structures import Box, FloatArray
from cmsa.tasks.pose.trained import resample
from cmsa.visualization.panel import Picture


@dataclass(frozen=True, eq=False)
class Sight:
    """What a network saw of one box, and what it says.

    Attributes:
        box: in pixels of the picture; the whole picture where no box was given.
        crop: (h, w, 3), what a camera of that resolution gives.
        given: (H, W, 3), the same resampled to the size that the weights take.
        matrix: 2x3, picture to ``given``.
        output: (1, ...), of the network.
        value: what it says, in pixels of the picture.
        attention: where each head group looked, for all boxes; none for networks without such attention.
        place: of the box among them.
    """

    box: Box
    crop: Picture
    given: Picture
    matrix: FloatArray
    output: Tensor
    value: Any
    attention: Sequence[AttentionMap]
    place: int


class Viewer:
    """Weights, ready for boxes of pictures at any resolution.

    Args:
        weights: a shipped name, a file, a folder or a hub id.

    Attributes:
        description: what the weights say of themselves.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: the file is not a weights file of cmsa, or is damaged.
    """

    def __init__(self, weights: str | Path) -> None:
        network = load_weights(find_weights(weights))
        self.predictor, self.network = Predictor(network), fuse(network)
        self.description, self.task = self.predictor.description, self.predictor.task

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W) that the weights take."""
        return self.description.input_size

    def size_at(self, height: int) -> tuple[int, int]:
        """(height, width) of a crop with the input's aspect, each at least one pixel."""
        return height, max(1, round(height * self.input_size[1] / self.input_size[0]))

    @torch.inference_mode()
    def look(self, picture: Picture, boxes: Sequence[Box], height: int) -> list[Sight]:
        """Look at boxes of a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            boxes: usable ones; none stands for the whole picture.
            height: of the crops, in pixels. Smaller crops are enlarged to what the weights take, larger ones averaged.

        Returns:
            One for each box.

        Raises:
            ValueError: a box is not usable.
        """
        cut = self.predictor.cut(picture, list(boxes) or None)
        if cut.reasons:
            raise ValueError(next(iter(cut.reasons.values())))
        matrices = [region.matrix for region in cut.regions]
        size, antialias = self.size_at(height), self.predictor.spec.antialias
        small = [
            cut_crop(picture, resized_matrix(matrix, self.input_size, size), size, antialias=antialias)
            for matrix in matrices
        ]
        given = [resample(crop, self.input_size) for crop in small]
        images = self.predictor.preprocess(torch.from_numpy(np.stack(given)))
        with watch_attention(self.network) as maps:
            output = self.network(images)
        shown = [region.box for region in cut.regions]
        values = self.task.values(self.task.decode(output), matrices, shown)
        return [
            Sight(box, crop, seen, matrix, output[place : place + 1], value, maps, place)
            for place, (box, crop, seen, matrix, value) in enumerate(
                zip(shown, small, given, matrices, values, strict=True)
            )
        ]


def resized_matrix(matrix: FloatArray, size: tuple[int, int], wanted: tuple[int, int]) -> FloatArray:
    """The map to the same crop at another size, edges to edges.

    Args:
        matrix: 2x3, picture to crop.
        size: (H, W) of the crop.
        wanted: (h, w) of the other one.
    """
    step = np.array([wanted[1] / size[1], wanted[0] / size[0]])[:, None]
    moved: FloatArray = matrix * step
    moved[:, 2:] += step / 2 - 0.5
    return moved


def viewers_by_task(names: Sequence[str]) -> dict[str, dict[str, Viewer]]:
    """Weights by task and by name.

    Args:
        names: as ``Viewer`` takes them; the first one of a task comes first.
    """
    found: dict[str, dict[str, Viewer]] = {}
    for name in dict.fromkeys(names):
        viewer = Viewer(name)
        found.setdefault(viewer.description.task, {}).setdefault(Path(name).name, viewer)
    return found
