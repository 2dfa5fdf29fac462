"""Keypoints as heatmaps and back: quarter offset, DARK, UDP, and the authors' own.

A heatmap's pixels are counted as an image's are: centres at integers.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cmsa.geometry.constants import constant
from cmsa.tasks.pose.codecs.codec import Codec, clearly_highest, weighted_mean
from cmsa.tasks.pose.codecs.peaks import bell, quarter_peaks, taylor_peaks


class HeatmapCodec(Codec):
    """What codecs of heatmaps share: sizes, gaussians, target weights, losses, the flip rule.

    Args:
        input_size: (H, W) of the network's input.
        heatmap_size: (h, w) of its heatmaps, at least 3x3.
        sigma: standard deviation of the gaussians in heatmap pixels; by default 1 at 32 rows, in proportion,
            but at least 0.75: a narrower one falls between the pixels.
        loss: ``mse``, the paper's; or ``cross_entropy`` between the target and a softmax over the map's pixels, which
            learns faster from little data (beyond the paper). The network's output is then a map of logits.

    Raises:
        ValueError: a size is too small, sigma is not positive, or there is no such loss.
    """

    heads = ("heatmap",)
    losses = ("mse", "cross_entropy")
    output_layout = "(B, keypoints, h, w)"
    sigma: float

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        sigma: float | None = None,
        loss: str | None = None,
    ) -> None:
        super().__init__(input_size, heatmap_size, sigma, loss)
        if min(heatmap_size) < 3:
            raise ValueError(f"codec: heatmaps must be at least 3x3, got {heatmap_size}")
        self.heatmap_size = heatmap_size
        self.sigma = max(heatmap_size[0] / 32, 0.75) if sigma is None else float(sigma)
        if not self.sigma > 0:
            raise ValueError(f"codec: sigma must be positive, got {sigma}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.input_size}, {self.heatmap_size}, sigma={self.sigma:g})"

    @property
    def stride(self) -> tuple[float, float]:
        """Input pixels per heatmap pixel, (x, y)."""
        return self.input_size[1] / self.heatmap_size[1], self.input_size[0] / self.heatmap_size[0]

    @property
    @abstractmethod
    def flip_shift(self) -> float:
        """Heatmap pixels by which a mirrored picture's heatmaps, mirrored back, must move to the right."""

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        """(K, h, w)."""
        return num_keypoints, *self.heatmap_size

    def encode(self, keypoints: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """As ``Codec.encode``.

        Returns:
            ``heatmaps`` (B, K, h, w) with a peak of 1 where a keypoint falls on a heatmap's pixel, and ``weight``: 0,
            and the heatmap empty, where the square of 3 sigma around a keypoint lies wholly outside the heatmap.
        """
        heatmaps, weight = self._targets(keypoints.float(), visible)
        return {"heatmaps": heatmaps, "weight": weight}

    @abstractmethod
    def _targets(self, points: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps and weights for points (B, K, 2) in input pixels."""

    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """How far the output (B, K, h, w) is from the targets.

        ``mse``: half the mean squared error over pixels, joints and batch (HRNet ``lib/core/loss.py``).
        ``cross_entropy``: mean over the weighted joints, in nats.
        """
        heatmaps, weight = targets["heatmaps"], targets["weight"]
        if self.kind == "mse":
            error = (output - heatmaps).square().mean(dim=(2, 3))
            return 0.5 * (error * weight).mean()
        target = heatmaps.flatten(2)
        target = target / target.sum(dim=2, keepdim=True).clamp(min=1e-6)
        error = -(target * output.flatten(2).log_softmax(dim=2)).sum(dim=2)
        return weighted_mean(error, weight)

    def decode(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """As ``Codec.decode``; a score is the height of the peak, about 1 in a target.

        Raises:
            ValueError: the maps have another size than the codec's.
        """
        if tuple(output.shape[2:]) != tuple(self.map_size):
            raise ValueError(f"codec: heatmaps are of {self.map_size} (HxW), got {tuple(output.shape[2:])}")
        return self._points(self.heatmaps(output))

    def heatmaps(self, output: Tensor) -> Tensor:
        """As ``Codec.heatmaps``: the output itself, or its softmax where it was trained through one."""
        if self.kind != "cross_entropy":
            return output.float()
        share = output.float().flatten(2).softmax(dim=2).reshape(output.shape)
        # A target's peak holds 1 / (2 pi sigma^2) of its mass.
        return share * (2 * math.pi * self.sigma**2)

    @abstractmethod
    def _points(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in input pixels and the heights of their peaks (B, K), of heatmaps with peaks about 1."""

    def flip_back(self, output: Tensor, flip_index: Sequence[int]) -> Tensor:
        """As ``Codec.flip_back``: mirrored, and moved by ``flip_shift``."""
        mirrored = output.float().flip(-1).index_select(1, constant(flip_index, output, torch.long))
        if self.flip_shift == 0:
            return mirrored
        last = mirrored.shape[-1] - 1
        source = (torch.arange(last + 1, device=output.device) - self.flip_shift).clamp(0, last)
        left = source.floor().long()
        right = (left + 1).clamp(max=last)
        return torch.lerp(mirrored[..., left], mirrored[..., right], source - left)

    def decided(self, output: Tensor, margin: float = 1e-5) -> Tensor:
        """As ``Codec.decided``."""
        return clearly_highest(output.flatten(2), margin)

    def constants(self) -> dict[str, Any]:
        """As ``Codec.constants``."""
        height, width = self.heatmap_size
        return super().constants() | {
            "heatmap_height": height,
            "heatmap_width": width,
            "flip_shift": self.flip_shift,
        }

    def _gaussians(self, centers: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps and weights for centres (B, K, 2) in heatmap pixels."""
        height, width = self.heatmap_size
        x = torch.arange(width, device=centers.device) - centers[..., 0, None]
        y = torch.arange(height, device=centers.device) - centers[..., 1, None]
        heatmaps = bell(y, self.sigma)[..., :, None] * bell(x, self.sigma)[..., None, :]
        touches = _touches(centers[..., 0], width, self.sigma) & _touches(centers[..., 1], height, self.sigma)
        weight = (touches & (visible > 0)).float()
        # Unannotated points may hold anything, NaN included.
        return heatmaps.masked_fill(weight[..., None, None] == 0, 0), weight


class QuarterOffset(HeatmapCodec):
    """Rounded centres; the peak's pixel, moved a quarter towards its higher neighbour (HRNet, arXiv 1908.07919).

    The centre of the map's gaussian is ``floor(p / stride + 0.5)`` and the gaussian ends at 3 sigma. Rounded so, a
    mirrored whole pixel lands one heatmap pixel to the left, unless heatmap and input are the same size: hence
    HRNet's one-pixel shift in the flip test.

    Examples:
        >>> import torch
        >>> codec = QuarterOffset((32, 24), (32, 24))
        >>> targets = codec.encode(torch.tensor([[[10.2, 20.3]]]), torch.ones(1, 1))
        >>> xy, score = codec.decode(targets["heatmaps"])
        >>> [[round(number, 2) for number in point] for point in xy[0].tolist()]
        [[10.0, 20.0]]
    """

    @property
    def flip_shift(self) -> float:
        """One pixel where the heatmap is smaller than the input."""
        return 1.0 if self.stride[0] > 1 else 0.0

    def _targets(self, points: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        centers = (_divide(points, self.stride) + 0.5).floor()
        heatmaps, weight = self._gaussians(centers, visible)
        height, width = self.heatmap_size
        in_x = (torch.arange(width, device=points.device) - centers[..., 0, None]).abs() <= 3 * self.sigma
        in_y = (torch.arange(height, device=points.device) - centers[..., 1, None]).abs() <= 3 * self.sigma
        return heatmaps * (in_y[..., :, None] & in_x[..., None, :]), weight

    def _points(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        moved, scores = quarter_peaks(heatmaps)
        return _multiply(moved, self.stride), scores


class Dark(HeatmapCodec):
    """Exact centres; a Taylor step on the logarithm of the blurred map (DARK, arXiv 1910.06278).

    The map's coordinate is ``p / stride``, as HRNet's. A mirrored point then lands ``1 - 1 / stride`` heatmap pixels
    too far left, which the flip test makes good; HRNet's whole pixel is this value rounded up.

    Examples:
        >>> import torch
        >>> codec = Dark((32, 24), (32, 24))
        >>> targets = codec.encode(torch.tensor([[[10.2, 20.3]]]), torch.ones(1, 1))
        >>> xy, score = codec.decode(targets["heatmaps"])
        >>> [[round(number, 2) for number in point] for point in xy[0].tolist()]
        [[10.2, 20.3]]
    """

    @property
    def flip_shift(self) -> float:
        """``1 - 1 / stride`` pixels."""
        return 1 - 1 / self.stride[0]

    @property
    def unit(self) -> tuple[float, float]:
        """Input pixels per unit of the heatmap's coordinate, (x, y)."""
        return self.stride

    def _targets(self, points: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        return self._gaussians(_divide(points, self.unit), visible)

    def _points(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        moved, scores = taylor_peaks(heatmaps, self.sigma)
        return _multiply(moved, self.unit), scores


class UDP(Dark):
    """Unbiased data processing (arXiv 1911.07524): lengths are counted between pixel centres, unit size - 1.

    The outermost pixel centres of heatmap and input coincide, so mirroring needs no shift. Decodes as DARK.

    Examples:
        >>> import torch
        >>> codec = UDP((32, 24), (32, 24))
        >>> targets = codec.encode(torch.tensor([[[10.2, 20.3]]]), torch.ones(1, 1))
        >>> xy, score = codec.decode(targets["heatmaps"])
        >>> [[round(number, 2) for number in point] for point in xy[0].tolist()]
        [[10.2, 20.3]]
    """

    @property
    def flip_shift(self) -> float:
        """None."""
        return 0.0

    @property
    def unit(self) -> tuple[float, float]:
        """Input pixels per heatmap pixel, both counted between pixel centres."""
        (height, width), (rows, columns) = self.input_size, self.heatmap_size
        return (width - 1) / (columns - 1), (height - 1) / (rows - 1)


class ExactQuarterOffset(UDP):
    """Exact centres, decoded by the quarter offset: what the authors' release trains and tests with.

    Its flip test has no shift, which is right where lengths are counted between pixel centres, as in UDP; at 32x24,
    where heatmap and input are the same size, all ways of counting agree. A decoded point is right to a quarter of a
    heatmap's pixel.

    Examples:
        >>> import torch
        >>> codec = ExactQuarterOffset((32, 24), (32, 24))
        >>> targets = codec.encode(torch.tensor([[[10.2, 20.3]]]), torch.ones(1, 1))
        >>> xy, score = codec.decode(targets["heatmaps"])
        >>> [[round(number, 2) for number in point] for point in xy[0].tolist()]
        [[10.25, 20.25]]
    """

    def _points(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        moved, scores = quarter_peaks(heatmaps)
        return _multiply(moved, self.unit), scores


def _multiply(points: Tensor, factors: tuple[float, float]) -> Tensor:
    """Points (..., 2) times (x, y); no tensor is made of host numbers, which a GPU would wait for."""
    return torch.stack([points[..., 0] * factors[0], points[..., 1] * factors[1]], dim=-1)


def _divide(points: Tensor, factors: tuple[float, float]) -> Tensor:
    return torch.stack([points[..., 0] / factors[0], points[..., 1] / factors[1]], dim=-1)


def _touches(center: Tensor, length: int, sigma: float) -> Tensor:
    """Whether 3 sigma around the pixels nearest to centres reach the pixels 0 to length - 1 of an axis."""
    nearest, reach = (center + 0.5).floor(), 3 * sigma
    return (nearest + reach >= 0) & (nearest - reach <= length - 1)
