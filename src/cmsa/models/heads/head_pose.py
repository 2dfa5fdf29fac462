"""Heads for head pose: the maps of the stages -> raw numbers that ``tasks.head_pose`` turns into angles.

Every head pools each map over its pixels and normalises it. Its output is one tensor without activation, so that an
exported network ends in a linear layer and everything after it runs in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ANGLES = 3
"""Yaw, pitch, roll, in this order."""
STAGE_BINS = 3
"""Of each stage of soft stage-wise regression."""
BIN_COUNT = 66
"""Of Hopenet's."""


class PooledStages(nn.Module):
    """Mean over the pixels of each map, then LayerNorm."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=1e-6) for dim in dims)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_k, H_k, W_k) -> features (B, C_k)."""
        return [norm(x.mean((2, 3))) for norm, x in zip(self.norms, maps, strict=True)]


class SoftStagewiseHead(nn.Module):
    """Parameters of soft stage-wise regression (SSR-Net; FSA-Net, Yang et al., CVPR 2019).

    Regression goes from coarse to fine, networks from fine maps to coarse: regression stage 1, which chooses among
    the widest bins, reads the network's last and most abstract map, as in SSR-Net.

    Args:
        dims: channels of each stage's map; there are as many regression stages.
    """

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.pool = PooledStages(dims)
        self.stages = nn.ModuleList(_linear(dim, ANGLES * (STAGE_BINS + 2)) for dim in dims)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_k, H_k, W_k) -> (B, 3 angles, regression stages, bins + 2).

        The last axis holds the logits of p, then η and Δ before their tanh.
        """
        features = self.pool(maps)
        stages = [
            linear(feature).unflatten(1, (ANGLES, STAGE_BINS + 2))
            for linear, feature in zip(self.stages, features, strict=True)
        ]
        return torch.stack(stages[::-1], dim=2)


class BinsHead(nn.Module):
    """Logits of angle bins (Hopenet, Ruiz et al., CVPRW 2018)."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.pool = PooledStages(dims)
        self.logits = _linear(sum(dims), ANGLES * BIN_COUNT)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_k, H_k, W_k) -> logits (B, 3 angles, bins)."""
        features = torch.cat(self.pool(maps), dim=1)
        return self.logits(features).unflatten(1, (ANGLES, BIN_COUNT))  # type: ignore[no-any-return]


class Rotation6DHead(nn.Module):
    """Two columns of a rotation matrix before Gram-Schmidt (Zhou et al., arXiv 1812.07035)."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.pool = PooledStages(dims)
        self.columns = _linear(sum(dims), 6)
        # Starts at the frontal face, away from the degenerate vectors around zero.
        with torch.no_grad():
            self.columns.bias.copy_(torch.eye(3)[:2].flatten())

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_k, H_k, W_k) -> (B, 6)."""
        return self.columns(torch.cat(self.pool(maps), dim=1))  # type: ignore[no-any-return]


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer
