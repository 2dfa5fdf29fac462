"""The network for inference, laid out for CPU runtimes: what changes is the order of work, never the result.

Exact algebra (1e-9 in float64), each step measured in ``docs/performance.md``:

- Channel fusion of [kv_k, out_{k-1}] is two products; the one on kv_k merges into the projection of kv_k.
- Queries, keys and values of each group are projected apart, so that nothing is split; the last product
  [out_1, ..., out_n] is one product for each group, summed, so that nothing is joined.
- 1/sqrt(D) is in the queries' projection, LayerNorm's gain and offset in the MLP's first product.
- Keys are not padded to the width of values, as ``attention.attend`` does for PyTorch's kernel.

Maps stay (B, H, W, C) inside the stages; only the depth-wise convolutions see them channels first.

Shape legend: B batch, H W map, h heads of a group, D = key_dim, V = value channels of a head, Q queries and K keys of
a window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.export.layout_head import deployed_head, linear_from
from cmsa.models.attention import CascadedMultiScaleAttention, FusedWindowAttention, to_nchw, to_nhwc
from cmsa.models.base import BaseNetwork
from cmsa.models.fuse import fuse
from cmsa.models.network import CMSA, Block, Embedding
from cmsa.models.windows import window_partition, window_reverse


def deploy(model: BaseNetwork) -> nn.Module:
    """A copy for inference: fused, and laid out for CPU runtimes.

    It maps images (B, 3, H, W) of the model's input size to what the model puts out. Networks of other kinds than CMSA,
    and those without spatial fusion or with an additive cascade, are fused only.

    Raises:
        ValueError: a BatchNorm cannot be folded, see ``fuse``.
    """
    fused = fuse(model)
    if not isinstance(fused, CMSA):
        return fused
    laid_out = fused.attention.spatial_fusion and fused.attention.cascade in ("none", "channel_fusion")
    return DeployedNetwork(fused).eval() if laid_out else fused


class DeployedNetwork(nn.Module):
    """Stem, stages and head of a fused CMSA."""

    def __init__(self, fused: CMSA) -> None:
        super().__init__()
        self.input_size = fused.input_size
        self.stem = nn.ModuleList(DeployedEmbedding(part) for part in (fused.stem.embedding1, fused.stem.embedding2))
        self.downsample = nn.ModuleList(
            DeployedEmbedding(part) for part in fused.downsample if isinstance(part, Embedding)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(DeployedBlock(block) for block in stage.children() if isinstance(block, Block)))
            for stage in fused.stages
        )
        self.head = deployed_head(fused.head)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> what the head makes of the three maps."""
        maps: list[Tensor] = []
        x = to_nhwc(x)
        for embedding in self.stem:
            x = F.gelu(embedding(x))
        for index, stage in enumerate(self.stages):
            if index:
                x = self.downsample[index - 1](x)
            x = stage(x)
            maps.append(to_nchw(x))
        return self.head(maps)  # type: ignore[no-any-return]


class DeployedEmbedding(nn.Module):
    """Depth-wise convolution, GELU, and the 1x1 convolution as a product. (B, H, W, C)."""

    def __init__(self, embedding: Embedding) -> None:
        super().__init__()
        pointwise = embedding.pointwise
        assert isinstance(pointwise, nn.Conv2d)
        self.depthwise = embedding.depthwise
        self.pointwise = linear_from(pointwise.weight[:, :, 0, 0], pointwise.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H/stride, W/stride, C')."""
        return self.pointwise(F.gelu(to_nhwc(self.depthwise(to_nchw(x)))))  # type: ignore[no-any-return]


class DeployedBlock(nn.Module):
    """x = GELU(PE(x)); x = x + Attention(x); x = x + MLP(LN(x)). (B, H, W, C)."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        attention, norm, mlp = block.attention, block.norm2, block.mlp
        self.position = block.position
        groups = [DeployedGroup(attention, index) for index in range(len(attention.groups))]
        self.groups = nn.ModuleList(groups)
        values = [group.heads * group.value_dim for group in groups]
        bias = attention.out.bias
        self.outs = nn.ModuleList(
            linear_from(weight, bias if index == 0 else None)
            for index, weight in enumerate(torch.split(attention.out.weight, values, dim=1))
        )
        self.dim, self.eps = norm.normalized_shape, norm.eps
        first = mlp.fc1
        assert isinstance(first, nn.Linear)
        assert first.bias is not None
        self.first = linear_from(first.weight * norm.weight, first.bias + first.weight @ norm.bias)
        self.second = linear_from(mlp.fc2.weight, mlp.fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = to_nhwc(F.gelu(self.position(to_nchw(x))))
        total = x
        before: Tensor | None = None
        for group, out in zip(self.groups, self.outs, strict=True):
            before = group(x, before)
            total = total + out(before)
        normed = F.layer_norm(total, self.dim, eps=self.eps)
        return total + self.second(F.gelu(self.first(normed)))  # type: ignore[no-any-return]


class DeployedGroup(nn.Module):
    """One group of heads: its keys and values from the map and from the group before, and its attention."""

    bias: Tensor

    def __init__(self, attention: CascadedMultiScaleAttention, index: int) -> None:
        super().__init__()
        group = attention.groups[index]
        assert isinstance(group, FusedWindowAttention)
        self.window, self.heads = group.window, group.heads
        channels = attention.kv_channels[index]
        key_dim, self.value_dim = group.key_dim, channels // group.heads - group.key_dim
        scale = key_dim**-0.5
        queries = slice(start := sum(attention.query_channels[:index]), start + attention.query_channels[index])
        self.query = linear_from(attention.q.weight[queries] * scale, attention.q.bias[queries] * scale)
        own = slice(start := sum(attention.kv_channels[:index]), start + channels)
        weight, bias = attention.kv.weight[own], attention.kv.bias[own]
        self.from_before: nn.Linear | None = None
        if index and attention.channel_fusion:
            mixer = attention.channel_fusion[index - 1]
            assert isinstance(mixer, nn.Conv2d)
            assert mixer.bias is not None
            mixing = mixer.weight[:, :, 0, 0]
            weight, bias = mixing[:, :channels] @ weight, mixing[:, :channels] @ bias + mixer.bias
            self.from_before = linear_from(mixing[:, channels:], None)
        self.key_value = linear_from(weight, bias)
        fusion = attention.spatial_fusion[index]
        assert isinstance(fusion, nn.Sequential)
        self.depthwise, _, self.pool, pointwise = fusion
        assert isinstance(pointwise, nn.Conv2d)
        assert pointwise.bias is not None
        # Keys and values come head by head.
        weight = pointwise.weight[:, :, 0, 0].reshape(self.heads, key_dim + self.value_dim, channels)
        bias = pointwise.bias.reshape(self.heads, key_dim + self.value_dim)
        self.key = linear_from(weight[:, :key_dim].flatten(0, 1), bias[:, :key_dim].flatten())
        self.value = linear_from(weight[:, key_dim:].flatten(0, 1), bias[:, key_dim:].flatten())
        self.register_buffer("bias", group.bias[0].clone())

    def forward(self, x: Tensor, before: Tensor | None) -> Tensor:
        """Attend.

        Args:
            x: (B, H, W, C).
            before: (B, H, W, h'·V), what the group before put out; None for the first.

        Returns:
            (B, H, W, h·V).
        """
        mixed = self.key_value(x)
        if self.from_before is not None:
            mixed = mixed + self.from_before(before)
        mixed = to_nhwc(self.pool(F.gelu(self.depthwise(to_nchw(mixed)))))
        window = self.window
        query = window_partition(self.query(x), window.grid, window.size, self.heads)
        key = window_partition(self.key(mixed), window.grid, window.key_size, self.heads)
        value = window_partition(self.value(mixed), window.grid, window.key_size, self.heads)
        score = query @ key.transpose(-2, -1)
        if len(self.bias) == self.heads:
            score = score + self.bias
        else:
            # (B·windows, h, Q, K) + (windows·h, Q, K)
            score = (score.reshape(-1, *self.bias.shape) + self.bias).reshape(score.shape)
        return window_reverse(score.softmax(dim=-1) @ value, window.grid, window.size, window.map_size)
