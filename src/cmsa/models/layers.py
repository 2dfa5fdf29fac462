"""What is in every transformer block: the MLP, and blocks left out at random.

timm has both, but importing timm takes as long as importing PyTorch, and each command would wait for it. Names and
random numbers are timm's.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear, GELU, linear. (..., C) -> (..., C)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Each position by itself."""
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class DropPath(nn.Module):
    """In training, a sample's whole branch is zero with ``drop_prob``, and scaled up otherwise (arXiv 1603.09382)."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> the same shape; in evaluation x itself."""
        if not self.training:
            return x
        kept = 1 - self.drop_prob
        mask = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(kept)
        return x * (mask / kept if kept else mask)

    def extra_repr(self) -> str:
        """The probability."""
        return f"drop_prob={self.drop_prob}"
