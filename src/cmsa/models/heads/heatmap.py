"""Heads for heatmaps: the maps of the stages -> a map for each keypoint."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.models.reparam import ConvNorm, norm_scale_shift


class TransposeNorm(nn.Module):
    """Depth-wise transposed convolution that enlarges ``scale`` times, then BatchNorm."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, channels, scale, scale, groups=channels)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, scale·H, scale·W)."""
        return self.norm(self._enlarged(x) if self.training else self.conv(x))  # type: ignore[no-any-return]

    def _enlarged(self, x: Tensor) -> Tensor:
        """``conv(x)`` as the product it is, for kernel and stride are the same: fast kernels, and channels-last."""
        dtype = x.dtype
        weight = self.conv.weight[:, 0].permute(1, 2, 0)[:, None].to(dtype)
        pixels = x.permute(0, 2, 3, 1)[:, :, None, :, None]
        # (B, H, 1, W, 1, C) · (scale, 1, scale, C)
        places = torch.addcmul(self.conv.bias.to(dtype), pixels, weight)  # type: ignore[union-attr]
        return places.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)

    def fuse(self) -> nn.ConvTranspose2d:
        """The equivalent transposed convolution."""
        scale, shift = norm_scale_shift(self.norm)
        conv = self.conv
        assert conv.bias is not None
        fused = copy.deepcopy(conv)
        fused.weight.data.copy_(conv.weight * scale[:, None, None, None])
        fused.bias.data.copy_(conv.bias * scale + shift)  # type: ignore[union-attr]
        return fused.eval()


def crop_to(x: Tensor, like: Tensor) -> Tensor:
    """The top left part of ``x`` of the size of ``like``: an enlarged odd map is one row or column too large."""
    return x[:, :, : like.shape[2], : like.shape[3]]


class MixerFusion(nn.Module):
    """Heatmaps at stage-1 resolution from concatenated maps (the authors' release).

    S2 and S3 are enlarged by depth-wise transposed convolutions with BatchNorm, joined to S1, mixed by 1x1 conv-BN
    to half the channels, GELU, 1x1 conv-BN to ``num_outputs`` maps.

    Args:
        dims: channels of each map.
        num_outputs: heatmaps.
        scales: how many times each map after the first is enlarged; by default 2, 4, ...
    """

    def __init__(self, dims: Sequence[int], num_outputs: int, scales: Sequence[int] | None = None) -> None:
        super().__init__()
        scales = [2 ** (index + 1) for index in range(len(dims) - 1)] if scales is None else scales
        self.enlarge = nn.ModuleList(TransposeNorm(dim, scale) for dim, scale in zip(dims[1:], scales, strict=True))
        self.mix = ConvNorm(sum(dims), sum(dims) // 2, 1)
        self.score = ConvNorm(sum(dims) // 2, num_outputs, 1)
        # Heatmap targets have a mean square of about 0.004: unit gain would spend the first hundreds of steps on
        # shrinking the maps.
        nn.init.constant_(self.score.norm.weight, 0.05)

    def start_with_logits(self) -> None:
        """Start with maps of unit variance: logits, unlike heatmaps, are of the order of 1."""
        nn.init.ones_(self.score.norm.weight)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) -> (B, num_outputs, H_1, W_1)."""
        enlarged = [crop_to(enlarge(x), maps[0]) for enlarge, x in zip(self.enlarge, maps[1:], strict=True)]
        return self.score(F.gelu(self.mix(torch.cat([maps[0], *enlarged], dim=1))))  # type: ignore[no-any-return]


class LinearFusion(nn.Module):
    """Each map through one 1x1 convolution to ``num_outputs`` maps, enlarged bilinearly, summed.

    It reproduces the paper's parameter counts for pose (4.10 / 5.55 / 7.26 M).
    """

    def __init__(self, dims: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        self.score = nn.ModuleList(nn.Conv2d(dim, num_outputs, 1) for dim in dims)
        for name, parameter in self.score.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=0.001)
            else:
                nn.init.zeros_(parameter)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) -> (B, num_outputs, H_1, W_1)."""
        total: Tensor = self.score[0](maps[0])
        for score, x in zip(self.score[1:], maps[1:], strict=True):
            total = total + F.interpolate(score(x), size=maps[0].shape[2:], mode="bilinear", align_corners=False)
        return total
