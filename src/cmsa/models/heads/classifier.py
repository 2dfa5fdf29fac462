"""Heads for classification: the maps of the stages -> logits, or no head at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ClassificationHead(nn.Module):
    """Logits from the pooled maps of all stages."""

    def __init__(self, dims: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(sum(dims), eps=1e-6)
        self.logits = nn.Linear(sum(dims), num_classes)
        nn.init.trunc_normal_(self.logits.weight, std=0.02)
        nn.init.zeros_(self.logits.bias)

    def pool(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) -> (B, sum of C_i), normalised."""
        return self.norm(torch.cat([x.mean((2, 3)) for x in maps], dim=1))  # type: ignore[no-any-return]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) -> logits (B, num_classes)."""
        return self.logits(self.pool(maps))  # type: ignore[no-any-return]


class LastMap(nn.Module):
    """No head: the last stage's map."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps -> (B, C_3, H_3, W_3)."""
        return maps[-1]
