"""What a codec is: keypoints as what a network can put out, and back.

Points are (x, y) in pixels of the network's input, pixel centres at integers; sizes are (height, width). Everything is
float32 and works on whole batches, on CPU and GPU.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from cmsa.guidance.suggestion import no_such


class Codec(ABC):
    """Owns the shape of the head's output, the targets, the loss, the way back to keypoints, and the flip rule.

    Args:
        input_size: (H, W) of the network's input.
        map_size: (h, w) of the maps that the head makes of the backbone's, where it makes any.
        sigma: width of the targets; each codec says its unit and its default.
        loss: one of ``losses``; the first by default.

    Raises:
        ValueError: there is no such loss, or an argument cannot be.

    Examples:
        >>> from cmsa.tasks.pose.codecs import CODECS
        >>> [(name, codec.losses) for name, codec in CODECS.items() if "simcc" in codec.heads]
        [('simcc', ('cross_entropy',))]
    """

    heads: ClassVar[tuple[str, ...]] = ("heatmap",)
    """Heads of ``cmsa.models.heads`` whose output this codec reads; the first is what a recipe gets by naming the
    codec."""
    losses: ClassVar[tuple[str, ...]] = ()
    head_options: ClassVar[tuple[str, ...]] = ()
    """Arguments that head and codec share: a model's ``options`` say them, and the codec takes them from there."""
    output_name: ClassVar[str] = "heatmaps"
    """What an exported file calls the output."""
    output_layout: ClassVar[str] = "(B, keypoints, ...)"

    def __init__(
        self,
        input_size: tuple[int, int],
        map_size: tuple[int, int],
        sigma: float | None = None,
        loss: str | None = None,
    ) -> None:
        if min(input_size) < 2:
            raise ValueError(f"codec: the input must be at least 2x2, got {input_size}")
        if loss is not None and loss not in self.losses:
            raise ValueError(no_such("loss", loss, self.losses, of=type(self).__name__))
        self.input_size, self.map_size = input_size, map_size
        self.kind = loss or next(iter(self.losses), "")
        self.sigma = sigma

    @abstractmethod
    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        """Shape of the head's output for one image."""

    @abstractmethod
    def encode(self, keypoints: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Targets.

        Args:
            keypoints: (B, K, 2) input pixels; anything, NaN included, where a keypoint is not labelled.
            visible: (B, K), above 0 where it is.

        Returns:
            What ``loss`` wants, and ``weight`` (B, K) float32: 0 where a keypoint is not labelled or where it lies so
            far outside that nothing of it reaches the image, else 1. Whoever trusts labels less multiplies it.
        """

    @abstractmethod
    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """How far the head's output (B, *output_shape) is from the targets, joints weighted; a scalar."""

    @abstractmethod
    def decode(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in input pixels and scores (B, K), about 0 to 1, of the output (B, *output_shape)."""

    def heatmaps(self, output: Tensor) -> Tensor | None:
        """What people look at: how sure the network is of each place, (B, K, h, w) stretched over the input, of the
        output (B, *output_shape). Peaks are about 1. None where the output says nothing of the kind."""
        return None

    @abstractmethod
    def flip_back(self, output: Tensor, flip_index: Sequence[int]) -> Tensor:
        """The output for mirrored pictures, brought onto that for the plain ones.

        Args:
            output: (B, *output_shape) for the pictures mirrored left to right.
            flip_index: for each keypoint the index of its mirror image.
        """

    def decided(self, output: Tensor, margin: float = 1e-5) -> Tensor:
        """(B, K) bool: whether rounding could not move the keypoint elsewhere.

        Args:
            output: (B, *output_shape).
            margin: by how much, as a share of the largest number, the highest must be above every other.
        """
        return torch.ones(output.shape[:2], dtype=torch.bool, device=output.device)

    def constants(self) -> dict[str, Any]:
        """What a program needs to read the output without this package, as JSON values."""
        return {"codec": type(self).__name__, "sigma": self.sigma, "loss": self.kind}


def weighted_mean(error: Tensor, weight: Tensor) -> Tensor:
    """Mean of errors (B, K) over joints by weights (B, K); 0 where every weight is."""
    return (error * weight).sum() / weight.sum().clamp(min=1e-6)


def clearly_highest(values: Tensor, margin: float) -> Tensor:
    """(B, K) bool: the highest of (B, K, N) is above every other by more than a share of the largest number."""
    highest = values.topk(2, dim=2).values
    return highest[..., 0] - highest[..., 1] > margin * values.abs().amax()
