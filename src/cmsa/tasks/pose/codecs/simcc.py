"""Keypoints as two classifications, of x and of y (SimCC, Li et al., arXiv 2107.03332).

Each axis is cut into ``split`` bins per pixel. A two-dimensional map of that resolution would have split² as many
cells; two one-dimensional ones have split times the sides, so that what a heatmap of a small input loses between its
pixels is kept. Bins tile the pixels from edge to edge: bin b of n on an axis of L pixels is centred at
``(b + 0.5) L / n - 0.5``, so that a mirrored picture is the same bins in reversed order, without a shift. (The paper's
bin is ``split · x`` rounded, which a mirror moves by a bin.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cmsa.geometry.constants import constant
from cmsa.models.heads.simcc import BINS_PER_PIXEL, axis_bins
from cmsa.tasks.pose.codecs.codec import Codec, clearly_highest, weighted_mean


class SimCC(Codec):
    """Logits of the bins of x, then of y, in one tensor (B, K, bins of x + bins of y).

    Args:
        input_size: (H, W) of the network's input.
        map_size: not used; the head knows the size of its maps.
        sigma: standard deviation of the targets' gaussians in bins; 0 puts all into the keypoint's own bin. By default
            ``split · sqrt(H / 32)``: a pixel at 32 rows, and what RTMPose (arXiv 2303.07399) uses at 256.
        loss: ``cross_entropy`` of each axis, summed.
        split: bins per pixel, at least 1.
        label_smoothing: this share of a target is spread evenly over its axis (the paper's other kind of target, with
            a sigma of 0).

    Raises:
        ValueError: split is below 1, sigma negative, or label_smoothing not in 0..1.

    Examples:
        >>> import torch
        >>> codec = SimCC((32, 24), (32, 24))
        >>> codec.output_shape(17)
        (17, 112)
        >>> xy, score = codec.decode(torch.zeros(1, 17, 112))
        >>> xy.shape, score.shape
        (torch.Size([1, 17, 2]), torch.Size([1, 17]))
    """

    heads = ("simcc",)
    losses = ("cross_entropy",)
    head_options = ("split",)
    output_name = "bins"
    output_layout = "(B, keypoints, bins of x + bins of y): logits"
    sigma: float

    def __init__(
        self,
        input_size: tuple[int, int],
        map_size: tuple[int, int],
        sigma: float | None = None,
        loss: str | None = None,
        split: float = BINS_PER_PIXEL,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(input_size, map_size, sigma, loss)
        self.split, self.label_smoothing = split, label_smoothing
        self.sigma = split * math.sqrt(input_size[0] / 32) if sigma is None else float(sigma)
        if not self.sigma >= 0:
            raise ValueError(f"codec: sigma must be at least 0, got {sigma}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"codec: label_smoothing must be at least 0 and below 1, got {label_smoothing}")
        self.bins = axis_bins(input_size, split)
        self.scale = (self.bins[0] / input_size[1], self.bins[1] / input_size[0])

    def __repr__(self) -> str:
        return f"SimCC({self.input_size}, split={self.split:g}, sigma={self.sigma:g})"

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        """(K, bins of x + bins of y)."""
        return num_keypoints, sum(self.bins)

    def encode(self, keypoints: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """As ``Codec.encode``.

        Returns:
            ``probabilities`` (B, K, bins of x + bins of y), those of each axis summing to 1, and ``weight``: 0 where a
            keypoint is further than 3 sigma from every bin.
        """
        weight = visible > 0
        axes = []
        for axis, (count, scale) in enumerate(zip(self.bins, self.scale, strict=True)):
            place = (keypoints[..., axis].float() + 0.5) * scale - 0.5
            reach = 3 * self.sigma + 0.5
            weight = weight & (place >= -reach) & (place <= count - 1 + reach)
            axes.append(self._distribution(place, count))
        return {"probabilities": torch.cat(axes, dim=-1), "weight": weight.float()}

    def _distribution(self, place: Tensor, count: int) -> Tensor:
        """Probabilities (B, K, count) for places (B, K) in bins."""
        bins = torch.arange(count, device=place.device)
        place = place.nan_to_num().clamp(-0.5 - 3 * self.sigma, count - 0.5 + 3 * self.sigma)
        if self.sigma == 0:
            own = place.round().clamp(0, count - 1)
            certain = (bins == own[..., None]).float()
        else:
            certain = (-((bins - place[..., None]) ** 2) / (2 * self.sigma**2)).softmax(dim=-1)
        return certain * (1 - self.label_smoothing) + self.label_smoothing / count

    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of x plus that of y in nats, mean over the weighted joints."""
        scores = torch.cat([axis.log_softmax(dim=-1) for axis in self._axes(output)], dim=-1)
        return weighted_mean(-(targets["probabilities"] * scores).sum(dim=-1), targets["weight"])

    def decode(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """As ``Codec.decode``: the most probable bin, moved within it to the top of its neighbours' parabola.

        The logarithm of a gaussian is a parabola, so that encoded points come back exactly; without it they are up to
        half a bin away. A score is the probability of both bins beside that of a target whose point lies on a bin, so
        about 1 where the network is as sure as it was taught to be.
        """
        places, scores = [], []
        for logits, scale in zip(self._axes(output.float()), self.scale, strict=True):
            place, score = self._peak(logits)
            places.append((place + 0.5) / scale - 0.5)
            scores.append(score)
        return torch.stack(places, dim=-1), scores[0] * scores[1]

    def heatmaps(self, output: Tensor) -> Tensor:
        """As ``Codec.heatmaps``: the probability of each pair of bins, beside that of a target's peak."""
        x, y = (axis.softmax(dim=-1) / self._target_peak(axis.shape[-1]) for axis in self._axes(output.float()))
        return y[..., :, None] * x[..., None, :]

    def _peak(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Place (B, K) in bins and score (B, K) of logits (B, K, count)."""
        count = logits.shape[-1]
        highest, index = logits.max(dim=-1)
        share = (highest - logits.logsumexp(dim=-1)).exp()
        center = index.clamp(1, count - 2)
        around = torch.stack([center - 1, center, center + 1], dim=-1)
        before, middle, after = logits.gather(2, around).unbind(-1)
        bend = before - 2 * middle + after
        step = (before - after) / (2 * bend.clamp(max=-1e-6)) * (bend < -1e-6)
        # A bin beside the border is refined by the parabola of its inner neighbour.
        refined = (center + step - index).clamp(-0.5, 0.5) + index
        return refined, share / self._target_peak(count)

    def _target_peak(self, count: int) -> float:
        """The highest probability of a target in the middle of an axis, on a bin."""
        bell = 1.0 if self.sigma == 0 else 1 / sum(math.exp(-((b / self.sigma) ** 2) / 2) for b in range(-count, count))
        return bell * (1 - self.label_smoothing) + self.label_smoothing / count

    def flip_back(self, output: Tensor, flip_index: Sequence[int]) -> Tensor:
        """As ``Codec.flip_back``: the bins of x in reversed order, exactly."""
        x, y = self._axes(output.index_select(1, constant(flip_index, output, torch.long)))
        return torch.cat([x.flip(-1), y], dim=-1)

    def decided(self, output: Tensor, margin: float = 1e-5) -> Tensor:
        """As ``Codec.decided``."""
        x, y = (clearly_highest(axis, margin) for axis in self._axes(output))
        return x & y

    def constants(self) -> dict[str, Any]:
        """As ``Codec.constants``."""
        return super().constants() | {
            "split": self.split,
            "bins_x": self.bins[0],
            "bins_y": self.bins[1],
            "label_smoothing": self.label_smoothing,
            "flip_shift": 0.0,
        }

    def _axes(self, output: Tensor) -> tuple[Tensor, Tensor]:
        x, y = torch.split(output, list(self.bins), dim=-1)
        return x, y
