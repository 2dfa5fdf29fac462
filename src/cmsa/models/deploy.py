"""The network for inference, in the layout that CPU runtimes are fast in: channels first throughout, no tokens.

What changes against the fused network is the order of work, never the result (exact algebra; 1e-9 in float64):

- Maps stay (B, C, H, W) from stem to head, so that every linear map is a 1x1 convolution and a runtime can keep its
  own blocked memory format and add activations and sums to the convolution's epilogue.
- Keys, queries and values of a group are projected apart: nothing is split or joined. A window of the whole map then
  attends without any transposition: (B, h·D, H, W) *is* (B, h, D, H·W).
- Channel fusion of [kv_k, out_{k-1}] is two products; the one on kv_k merges into the projection of kv_k.
- The last product [out_1, ..., out_n] is one product for each group, summed.
- 1/sqrt(D) is in the queries' projection, LayerNorm's gain and offset in the MLP's first product.

Shape legend: B batch, H W map, h heads of a group, D = key_dim, V = value channels of a head, Q queries and K keys of
a window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.models.attention import CascadedMultiScaleAttention, WindowAttention
from cmsa.models.fuse import fuse
from cmsa.models.network import CMSA, Block


def deploy(model: CMSA) -> nn.Module:
    """A copy for inference: fused, and laid out for CPU runtimes.

    It maps images (B, 3, H, W) of the model's input size to what the model puts out. Networks without a part of the
    attention (Table 5) are fused only.

    Raises:
        ValueError: a BatchNorm cannot be folded, see :func:`fuse`.
    """
    fused = fuse(model)
    return DeployedNetwork(fused).eval() if fused.attention == "cmsa" else fused


class DeployedNetwork(nn.Module):
    """Stem, stages and head of a fused CMSA."""

    def __init__(self, fused: CMSA) -> None:
        super().__init__()
        self.input_size = fused.input_size
        self.stem, self.downsample, self.head = fused.stem, fused.downsample, fused.head
        self.stages = nn.ModuleList(
            nn.Sequential(*(DeployedBlock(block) for block in stage.children() if isinstance(block, Block)))
            for stage in fused.stages
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> what the head makes of the three maps."""
        maps: list[Tensor] = []
        x = self.stem(x)
        for index, stage in enumerate(self.stages):
            if index:
                x = self.downsample[index - 1](x)
            x = stage(x)
            maps.append(x)
        return self.head(maps)  # type: ignore[no-any-return]


class DeployedBlock(nn.Module):
    """x = GELU(PE(x)); x = x + Attention(x); x = x + MLP(LN(x)). (B, C, H, W)."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        attention, norm, mlp = block.attention, block.norm2, block.mlp
        self.position = block.position
        self.groups = nn.ModuleList(DeployedGroup(attention, index) for index in range(len(attention.groups)))
        values = [group.heads * group.value_dim for group in self.groups]
        bias = attention.out.bias
        self.outs = nn.ModuleList(
            _convolution(weight, bias if index == 0 else None)
            for index, weight in enumerate(attention.out.weight.split(values, dim=1))
        )
        self.eps = norm.eps
        first = mlp.fc1
        self.first = _convolution(first.weight * norm.weight, first.bias + first.weight @ norm.bias)
        self.second = _convolution(mlp.fc2.weight, mlp.fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = F.gelu(self.position(x))
        total, before = x, None
        for group, out in zip(self.groups, self.outs, strict=True):
            before = group(x, before)
            total = total + out(before)
        return total + self.second(F.gelu(self.first(self._normalise(total))))  # type: ignore[no-any-return]

    def _normalise(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        return centred * torch.rsqrt((centred * centred).mean(dim=1, keepdim=True) + self.eps)


class DeployedGroup(nn.Module):
    """One group of heads: its keys and values from the map and from the group before, and its attention."""

    bias: Tensor

    def __init__(self, attention: CascadedMultiScaleAttention, index: int) -> None:
        super().__init__()
        group = attention.groups[index]
        assert isinstance(group, WindowAttention)
        assert group.expanded is not None
        self.window, self.heads = group.window, group.heads
        channels = attention.kv_channels[index]
        key_dim, self.value_dim = group.key_dim, channels // group.heads - group.key_dim
        scale = key_dim**-0.5
        queries = slice(start := sum(attention.query_channels[:index]), start + attention.query_channels[index])
        self.query = _convolution(attention.q.weight[queries] * scale, attention.q.bias[queries] * scale)
        own = slice(start := sum(attention.kv_channels[:index]), start + channels)
        weight, bias = attention.kv.weight[own], attention.kv.bias[own]
        self.from_before: nn.Conv2d | None = None
        if index:
            fusion = attention.channel_fusion[index - 1]
            assert isinstance(fusion, nn.Conv2d)
            assert fusion.bias is not None
            mixing = fusion.weight[:, :, 0, 0]
            weight, bias = mixing[:, :channels] @ weight, mixing[:, :channels] @ bias + fusion.bias
            self.from_before = _convolution(mixing[:, channels:], None)
        self.key_value = _convolution(weight, bias)
        self.depthwise, _, self.pool, pointwise = attention.spatial_fusion[index]
        weight = pointwise.weight[:, :, 0, 0].unflatten(0, (self.heads, key_dim + self.value_dim))
        bias = pointwise.bias.unflatten(0, (self.heads, key_dim + self.value_dim))
        self.key = _convolution(weight[:, :key_dim].flatten(0, 1), bias[:, :key_dim].flatten())
        self.value = _convolution(weight[:, key_dim:].flatten(0, 1), bias[:, key_dim:].flatten())
        self.register_buffer("bias", group.expanded.detach().clone())

    def forward(self, x: Tensor, before: Tensor | None) -> Tensor:
        """Attend.

        Args:
            x: (B, C, H, W).
            before: (B, h'·V, H, W), what the group before put out; None for the first.

        Returns:
            (B, h·V, H, W).
        """
        mixed = self.key_value(x)
        if self.from_before is not None:
            mixed = mixed + self.from_before(before)
        mixed = self.pool(F.gelu(self.depthwise(mixed)))
        query = self._cut(self.query(x), self.window.size)
        key = self._cut(self.key(mixed), self.window.key_size)
        value = self._cut(self.value(mixed), self.window.key_size)
        score = query.transpose(-2, -1) @ key
        if self.bias.dim() == 4:
            score = (score.unflatten(0, (-1, self.bias.shape[0])) + self.bias).flatten(0, 1)
        else:
            score = score + self.bias
        return self._join(value @ score.softmax(dim=-1).transpose(-2, -1))

    def _cut(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Windows of a map: (B, h·d, H, W) -> (B·windows, h, d, s·t), zeros filling what is missing."""
        (down, across), (rows, columns) = self.window.grid, size
        below, right = down * rows - x.shape[2], across * columns - x.shape[3]
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        dim = x.shape[1] // self.heads
        if down * across > 1:
            x = x.reshape(-1, self.heads, dim, down, rows, across, columns).permute(0, 3, 5, 1, 2, 4, 6)
        return x.reshape(-1, self.heads, dim, rows * columns)

    def _join(self, x: Tensor) -> Tensor:
        """Inverse of ``_cut`` for the queries' windows: (B·windows, h, V, Q) -> (B, h·V, H, W)."""
        (down, across), (rows, columns) = self.window.grid, self.window.size
        height, width = self.window.map_size
        if down * across > 1:
            x = x.reshape(-1, down, across, self.heads, self.value_dim, rows, columns).permute(0, 3, 4, 1, 5, 2, 6)
        x = x.reshape(-1, self.heads * self.value_dim, down * rows, across * columns)
        return x[:, :, :height, :width] if (down * rows, across * columns) != (height, width) else x


def _convolution(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A matrix (C', C) as a 1x1 convolution."""
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone()[:, :, None, None], requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer
