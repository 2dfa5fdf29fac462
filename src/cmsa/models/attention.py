"""Cascaded multi-scale attention (CMSA, arXiv 2412.02197, section 3.2).

    q        = Wq x                                   16 channels per head
    kv_k     = group k's part of Wkv x                (key 16, value 32) channels per head, head by head
    kv'_1    = SF(kv_1)
    kv'_k    = SF(CF([kv_k, out_{k-1}]))              each group is fed by the one before
    out_k    = softmax(q_k · key'_k^T / sqrt(16) + bias_k) value'_k      inside windows of s_k x t_k
    y        = Wo [out_1, ..., out_n]

Shape legend: B batch, H W map, C channels, h heads of a group, D = key_dim, V = value_ratio · D.
Maps go in and out as (B, H, W, C); convolutions see the same memory as channels-last (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.models.attention_parts import AttentionParts
from cmsa.models.reparam import ConvNorm, ResidualDepthwise
from cmsa.models.windows import Window, resize_bias, window_partition, window_reverse


class SpatialFusion(nn.Module):
    """SF: GELU(x + BN(dw3x3(x))), 1x1 conv-BN, average pooling by the group's stride. (B, C, H, W)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise = ResidualDepthwise(channels)
        self.pointwise = ConvNorm(channels, channels, 1)
        self.pool = KeyPool(stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/r, W/r)."""
        return self.pool(self.pointwise(F.gelu(self.depthwise(x))))  # type: ignore[no-any-return]

    def fuse(self) -> nn.Module:
        """The equivalent for inference: pooling commutes with the 1x1 convolution and leaves it less work."""
        return nn.Sequential(self.depthwise.fuse(), nn.GELU(), self.pool, self.pointwise.fuse())


class KeyPool(nn.Module):
    """Average pooling by ``stride``; cells cut by the border average what they hold."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/r, W/r), rounded up."""
        if self.stride == 1:
            return x
        return F.avg_pool2d(x, self.stride, ceil_mode=True, count_include_pad=False)


class AdditiveCascade(nn.Module):
    """Cascade without channel fusion (Table 5, row 3): ``kv + W out``, kv's own channels unmixed.

    The projection W is there because a group's values and the next group's keys and values differ in width.
    """

    def __init__(self, kv_channels: int, out_channels: int) -> None:
        super().__init__()
        self.kv_channels = kv_channels
        self.project = nn.Conv2d(out_channels, kv_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, kv + out, H, W) -> (B, kv, H, W)."""
        kv, out = torch.split(x, [self.kv_channels, x.shape[1] - self.kv_channels], dim=1)
        return kv + self.project(out)  # type: ignore[no-any-return]


MASKED = torch.finfo(torch.float16).min / 4
"""Added to the score of a padded key: no weight is left, and the number is finite in float16, bfloat16 and wider."""


class WindowAttention(nn.Module):
    """softmax(q k^T / sqrt(D) + bias) v inside windows, for one group of heads.

    The relative position bias is one learned number per head and absolute offset (|row|, |column|), kept as a
    (heads, s, t) ``table``; one that is not learned stays zero.
    """

    relative_position_index: Tensor
    key_mask: Tensor | None

    def __init__(self, heads: int, key_dim: int, window: Window, learned_bias: bool = True) -> None:
        super().__init__()
        self.heads, self.key_dim = heads, key_dim
        self.table = nn.Parameter(torch.zeros(heads, *window.size), requires_grad=learned_bias)
        self._set_window(window)

    def _set_window(self, window: Window) -> None:
        self.window = window
        index = window.relative_position_index().to(self.table.device)
        self.register_buffer("relative_position_index", index, persistent=False)
        mask = window.key_mask().to(self.table.device) if window.padded else None
        self.register_buffer("key_mask", mask, persistent=False)

    def resize(self, window: Window) -> None:
        """Take another window, resizing the bias table to it."""
        resized = resize_bias(self.table.detach(), window.size)
        self.table = nn.Parameter(resized, requires_grad=self.table.requires_grad)
        self._set_window(window)

    def relative_position_bias(self) -> Tensor:
        """(1, h, queries, keys), or (1, windows·h, queries, keys) where some windows hold padding."""
        bias = self.table.flatten(1)[:, self.relative_position_index]
        if self.key_mask is None:
            return bias[None]
        return bias[None].masked_fill(~self.key_mask, MASKED).flatten(0, 1)[None]

    def forward(self, q: Tensor, kv: Tensor) -> Tensor:
        """Attend.

        Args:
            q: (B, H, W, h·D).
            kv: (B, H/r, W/r, h·(D+V)), key and value head by head.

        Returns:
            (B, H, W, h·V).
        """
        return attend_in_windows(q, kv, self.relative_position_bias(), self.window, self.heads, self.key_dim)

    def fuse(self) -> FusedWindowAttention:
        """The equivalent for inference."""
        return FusedWindowAttention(self)


class FusedWindowAttention(nn.Module):
    """A ``WindowAttention`` whose bias is laid out once and for all; its window cannot be changed any more."""

    bias: Tensor

    def __init__(self, attention: WindowAttention) -> None:
        super().__init__()
        self.heads, self.key_dim, self.window = attention.heads, attention.key_dim, attention.window
        self.register_buffer("bias", attention.relative_position_bias().detach().clone())

    def forward(self, q: Tensor, kv: Tensor) -> Tensor:
        """As ``WindowAttention.forward``."""
        return attend_in_windows(q, kv, self.bias, self.window, self.heads, self.key_dim)


def attend_in_windows(q: Tensor, kv: Tensor, bias: Tensor, window: Window, heads: int, key_dim: int) -> Tensor:
    """Attention of each query to the keys of its window, maps in and out.

    Args:
        q: (B, H, W, h·D).
        kv: (B, H/r, W/r, h·(D+V)), key and value head by head.
        bias: (1, h, queries, keys), or (1, windows·h, queries, keys) where it differs from window to window.
        window: sizes of the map and its windows.
        heads: h.
        key_dim: D.

    Returns:
        (B, H, W, h·V).
    """
    query = window_partition(q, window.grid, window.size, heads)
    key_value = window_partition(kv, window.grid, window.key_size, heads)
    if bias.shape[1] != heads:
        # The windows of a map count as heads: a mask of four dimensions can tell them apart without being repeated.
        query, key_value = (x.reshape(-1, bias.shape[1], *x.shape[2:]) for x in (query, key_value))
    key, value = torch.split(key_value, [key_dim, key_value.shape[3] - key_dim], dim=3)
    out = attend(query, key, value, bias)
    return window_reverse(out.reshape(-1, heads, *out.shape[2:]), window.grid, window.size, window.map_size)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D) + bias) v: (N, h, Q, D), (N, h, K, D), (N, h, K, V) -> (N, h, Q, V).

    Without gradients it goes through ``scaled_dot_product_attention``, whose CPU kernel wants q, k and v equally
    wide, so q and k are padded with zeros, which changes nothing; and a bias of four dimensions, (1, h, Q, K). When
    the bias is trained that kernel is not available and the explicit product is the fastest path.
    """
    scale = query.shape[-1] ** -0.5
    if bias.requires_grad and torch.is_grad_enabled():
        score = (query * scale) @ key.transpose(-2, -1) + bias.to(query.dtype)
        weight: Tensor = score.softmax(dim=-1).to(value.dtype)
        return weight @ value
    missing = value.shape[-1] - query.shape[-1]
    if missing > 0:
        query, key = F.pad(query, (0, missing)), F.pad(key, (0, missing))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype), scale=scale)


class CascadedMultiScaleAttention(nn.Module):
    """Head groups with different windows, each feeding the keys and values of the next.

    Args:
        dim: C.
        heads: heads of each group, e.g. (2, 2, 1).
        windows: one window per group, in the same order.
        key_dim: D.
        value_ratio: V / D.
        parts: which cascade there is, whether there is spatial fusion, whether a bias is learned. Head groups and key
            strides are what ``heads`` and ``windows`` say.

    Examples:
        >>> import torch
        >>> from cmsa.models.windows import Window
        >>> windows = [Window((8, 6), (8, 6), 2), Window((8, 6), (4, 3), 1)]
        >>> attention = CascadedMultiScaleAttention(16, [2, 1], windows)
        >>> attention(torch.zeros(1, 8, 6, 16)).shape
        torch.Size([1, 8, 6, 16])
    """

    def __init__(
        self,
        dim: int,
        heads: Sequence[int],
        windows: Sequence[Window],
        key_dim: int = 16,
        value_ratio: int = 2,
        parts: AttentionParts | None = None,
    ) -> None:
        super().__init__()
        if len(heads) != len(windows):
            raise ValueError(f"{len(heads)} groups of heads but {len(windows)} windows")
        self.parts = parts or AttentionParts()
        value_dim = key_dim * value_ratio
        self.heads, self.key_dim, self.value_dim = tuple(heads), key_dim, value_dim
        self.query_channels = [count * key_dim for count in heads]
        self.kv_channels = [count * (key_dim + value_dim) for count in heads]
        out_channels = [count * value_dim for count in heads]
        self.q = nn.Linear(dim, sum(self.query_channels))
        self.kv = nn.Linear(dim, sum(self.kv_channels))
        self.channel_fusion = nn.ModuleList()
        for kv, out in zip(self.kv_channels[1:], out_channels[:-1], strict=True):
            if self.parts.cascade == "channel_fusion":
                self.channel_fusion.append(ConvNorm(kv + out, kv, 1))
            elif self.parts.cascade == "additive":
                self.channel_fusion.append(AdditiveCascade(kv, out))
        self.spatial_fusion = nn.ModuleList(
            SpatialFusion(kv, window.stride) if self.parts.spatial_fusion else KeyPool(window.stride)
            for kv, window in zip(self.kv_channels, windows, strict=True)
        )
        self.groups = nn.ModuleList(
            WindowAttention(count, key_dim, window, self.parts.bias)
            for count, window in zip(heads, windows, strict=True)
        )
        self.out = nn.Linear(sum(out_channels), dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        queries = torch.split(self.q(x), self.query_channels, dim=3)
        kvs = torch.split(self.kv(x), self.kv_channels, dim=3)
        outs: list[Tensor] = []
        for index, attention in enumerate(self.groups):
            kv = kvs[index]
            if index and self.channel_fusion:
                kv = to_nhwc(self.channel_fusion[index - 1](to_nchw(torch.cat([kv, outs[-1]], dim=3))))
            kv = to_nhwc(self.spatial_fusion[index](to_nchw(kv)))
            outs.append(attention(queries[index], kv))
        return self.out(torch.cat(outs, dim=3))  # type: ignore[no-any-return]


def to_nchw(x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W), the same memory."""
    return x.permute(0, 3, 1, 2)


def to_nhwc(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C); the same memory where x is channels-last."""
    return x.permute(0, 2, 3, 1)
