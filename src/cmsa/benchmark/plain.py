"""The network written down straight from the paper, as releases of papers usually are: what our own is timed against.

Maps are (B, C, H, W) in contiguous memory, projections are 1x1 convolutions, windows are reshaped and permuted, and
attention is an explicit softmax. Where our modules are the plain form already (branches with their BatchNorms, fusions,
MLP, head) they are copied. It computes what ``cmsa.models.CMSA`` computes; nothing in it is slow on purpose.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.models.attention import CascadedMultiScaleAttention, WindowAttention
from cmsa.models.heads.heatmap import TransposeNorm
from cmsa.models.network import CMSA, Block
from cmsa.models.reparam import ConvNorm

Size = tuple[int, int]


class PlainNetwork(nn.Module):
    """The plain form of a network, with a copy of its weights and in its mode.

    Parameters have the names that they have in ``network``; the weights of ``q``, ``kv`` and ``out`` are 1x1 kernels.
    """

    def __init__(self, network: CMSA) -> None:
        super().__init__()
        self.stem = copy.deepcopy(network.stem)
        self.downsample = copy.deepcopy(network.downsample)
        self.stages = nn.ModuleList(
            nn.Sequential(*(PlainBlock(block) for block in stage.children())) for stage in network.stages
        )
        self.head = copy.deepcopy(network.head)
        _take_short_cuts_out(self)
        self.to(memory_format=torch.contiguous_format)
        self.train(network.training)

    def forward(self, x: Tensor) -> Any:
        """Images (B, 3, H, W) -> what ``head`` makes of the three maps."""
        maps: list[Tensor] = []
        x = self.stem(x)
        for index, stage in enumerate(self.stages):
            if index:
                x = self.downsample[index - 1](x)
            x = stage(x)
            maps.append(x)
        return self.head(maps)


class PlainBlock(nn.Module):
    """x = GELU(PE(x)); x = x + Attention(BN(x)); x = x + MLP(LN(x)). (B, C, H, W)."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        assert isinstance(block, Block)
        self.position = copy.deepcopy(block.position)
        self.norm1 = copy.deepcopy(block.norm1)
        self.attention = PlainAttention(block.attention)
        self.norm2 = copy.deepcopy(block.norm2)
        self.mlp = copy.deepcopy(block.mlp)
        self.drop_path = copy.deepcopy(block.drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = F.gelu(self.position(x))
        x = x + self.drop_path(self.attention(self.norm1(x)))
        mixed = self.mlp(self.norm2(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return x + self.drop_path(mixed)  # type: ignore[no-any-return]


class PlainAttention(nn.Module):
    """Head groups with different windows, each feeding the keys and values of the next. (B, C, H, W)."""

    def __init__(self, attention: CascadedMultiScaleAttention) -> None:
        super().__init__()
        self.query_channels, self.kv_channels = attention.query_channels, attention.kv_channels
        self.cascades = attention.parts.cascade != "none"
        self.q, self.kv, self.out = (_pointwise(layer) for layer in (attention.q, attention.kv, attention.out))
        self.channel_fusion = copy.deepcopy(attention.channel_fusion)
        self.spatial_fusion = copy.deepcopy(attention.spatial_fusion)
        self.groups = nn.ModuleList(PlainWindowAttention(group) for group in attention.groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        queries = torch.split(self.q(x), self.query_channels, dim=1)
        kvs = torch.split(self.kv(x), self.kv_channels, dim=1)
        outs: list[Tensor] = []
        for index, group in enumerate(self.groups):
            kv = kvs[index]
            if index and self.cascades:
                kv = self.channel_fusion[index - 1](torch.cat([kv, outs[-1]], dim=1))
            outs.append(group(queries[index], self.spatial_fusion[index](kv)))
        return self.out(torch.cat(outs, dim=1))  # type: ignore[no-any-return]


class PlainWindowAttention(nn.Module):
    """softmax(q k^T / sqrt(D) + bias) v inside windows, for one group of heads."""

    index: Tensor
    mask: Tensor | None

    def __init__(self, group: Any) -> None:
        super().__init__()
        assert isinstance(group, WindowAttention)
        self.heads, self.key_dim, self.window = group.heads, group.key_dim, group.window
        self.scale = group.key_dim**-0.5
        self.table = copy.deepcopy(group.table)
        self.register_buffer("index", group.relative_position_index.clone(), persistent=False)
        mask = None if group.key_mask is None else group.key_mask.clone()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, q: Tensor, kv: Tensor) -> Tensor:
        """(B, h·D, H, W) and (B, h·(D+V), H/r, W/r) -> (B, h·V, H, W)."""
        window = self.window
        query = to_windows(q, window.grid, window.size, self.heads)
        key_value = to_windows(kv, window.grid, window.key_size, self.heads)
        key, value = key_value[..., : self.key_dim], key_value[..., self.key_dim :]
        score = query @ key.transpose(-2, -1) * self.scale + self.table.flatten(1)[:, self.index]
        if self.mask is not None:
            score = score.masked_fill(~self.mask.repeat(len(q), 1, 1, 1), -torch.inf)
        return from_windows(score.softmax(dim=-1) @ value, window.grid, window.size, window.map_size)


class PlainNorm(nn.Module):
    """A convolution, then its BatchNorm. (B, C, H, W)."""

    def __init__(self, block: ConvNorm | TransposeNorm) -> None:
        super().__init__()
        self.conv, self.norm = block.conv, block.norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return self.norm(self.conv(x))  # type: ignore[no-any-return]


def _take_short_cuts_out(network: nn.Module) -> None:
    """Our blocks of a convolution and a BatchNorm go around slow kernels; the plain network does not."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ConvNorm | TransposeNorm):
                setattr(parent, name, PlainNorm(child))


def to_windows(x: Tensor, grid: Size, size: Size, heads: int) -> Tensor:
    """(B, heads·d, H, W) -> (B·windows, heads, s·t, d), padded with zeros at the bottom and right."""
    batch, channels, height, width = x.shape
    (down, across), (rows, columns) = grid, size
    x = F.pad(x, (0, across * columns - width, 0, down * rows - height))
    x = x.reshape(batch, heads, channels // heads, down, rows, across, columns)
    x = x.permute(0, 3, 5, 1, 4, 6, 2).contiguous()
    return x.view(batch * down * across, heads, rows * columns, channels // heads)


def from_windows(x: Tensor, grid: Size, size: Size, map_size: Size) -> Tensor:
    """(B·windows, heads, s·t, d) -> (B, heads·d, H, W), padding dropped."""
    (down, across), (rows, columns) = grid, size
    heads, dim = x.shape[1], x.shape[3]
    x = x.reshape(-1, down, across, heads, rows, columns, dim)
    x = x.permute(0, 3, 6, 1, 4, 2, 5).contiguous()
    x = x.view(-1, heads * dim, down * rows, across * columns)
    return x[:, :, : map_size[0], : map_size[1]]


def _pointwise(layer: nn.Linear) -> nn.Conv2d:
    """A linear layer as a 1x1 convolution."""
    convolution = nn.Conv2d(layer.in_features, layer.out_features, 1)
    with torch.no_grad():
        convolution.to(layer.weight).weight.copy_(layer.weight[:, :, None, None])
        convolution.bias.copy_(layer.bias)  # type: ignore[union-attr]
    return convolution
