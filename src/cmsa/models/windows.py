"""Attention windows on a feature map: sizes, relative positions, partition and reverse.

A group attends in windows of s x t queries and (s/r) x (t/r) keys, where r is the stride by which its keys are
pooled. Where a window does not divide the map, the map is padded at the bottom and right; padded keys get no weight
and padded queries are dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def ceil_divide(number: int, divisor: int) -> int:
    """``number / divisor`` rounded up."""
    return -(-number // divisor)


@dataclass(frozen=True)
class Window:
    """One group's window on one map.

    Attributes:
        map_size: (H, W) of the map.
        size: (s, t) of the window, multiples of the stride.
        stride: r, by which keys and values are pooled.
    """

    map_size: tuple[int, int]
    size: tuple[int, int]
    stride: int

    @classmethod
    def fit(cls, map_size: tuple[int, int], size: tuple[int, int], stride: int) -> Window:
        """The window of about ``size`` on a map, cut to the map and rounded up to a multiple of the stride."""
        fitted = tuple(
            ceil_divide(min(wanted, side), stride) * stride for wanted, side in zip(size, map_size, strict=True)
        )
        return cls(map_size, (fitted[0], fitted[1]), stride)

    @property
    def key_size(self) -> tuple[int, int]:
        """(s/r, t/r): keys in a window."""
        return self.size[0] // self.stride, self.size[1] // self.stride

    @property
    def key_map_size(self) -> tuple[int, int]:
        """Size of the pooled map, before padding."""
        return ceil_divide(self.map_size[0], self.stride), ceil_divide(self.map_size[1], self.stride)

    @property
    def grid(self) -> tuple[int, int]:
        """Number of windows down and across."""
        return ceil_divide(self.map_size[0], self.size[0]), ceil_divide(self.map_size[1], self.size[1])

    @property
    def padded(self) -> bool:
        """Whether the pooled map does not fill the windows."""
        return any(
            side != many * keys for side, many, keys in zip(self.key_map_size, self.grid, self.key_size, strict=True)
        )

    @property
    def index_bytes(self) -> int:
        """What ``relative_position_index`` takes."""
        return 8 * math.prod(self.size) * math.prod(self.key_size)

    def relative_position_index(self) -> Tensor:
        """(s·t, s/r·t/r) index into a flattened (s, t) table of |row offset|, |column offset|.

        A query's offset is its coordinate in the window, a key's its pooled coordinate, not multiplied by the stride
        (as the authors' release has it).
        """
        (rows, columns), (key_rows, key_columns) = self.size, self.key_size
        row = (torch.arange(rows)[:, None] - torch.arange(key_rows)[None, :]).abs()
        column = (torch.arange(columns)[:, None] - torch.arange(key_columns)[None, :]).abs()
        index = row[:, None, :, None] * columns + column[None, :, None, :]
        return index.reshape(rows * columns, key_rows * key_columns)

    def key_mask(self) -> Tensor:
        """(windows, 1, 1, keys) boolean: True where a key lies on the map, False where it is padding."""
        mask = torch.ones(1, *self.key_map_size, 1, dtype=torch.float32)
        return window_partition(mask, self.grid, self.key_size, heads=1)[..., 0].bool()[:, :, None, :]


def pad_map(x: Tensor, height: int, width: int) -> Tensor:
    """(B, H, W, C) with zeros below and to the right, up to (B, height, width, C)."""
    below, right = height - x.shape[1], width - x.shape[2]
    return F.pad(x, (0, 0, 0, right, 0, below)) if below or right else x


def window_partition(x: Tensor, grid: tuple[int, int], size: tuple[int, int], heads: int) -> Tensor:
    """A map in windows: (B, H, W, heads·d) -> (B·windows, heads, s·t, d), zeros filling what is missing."""
    batch, channels = x.shape[0], x.shape[3]
    (down, across), (rows, columns) = grid, size
    x = pad_map(x, down * rows, across * columns)
    x = x.reshape(batch, down, rows, across, columns, heads, channels // heads)
    return x.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch * down * across, heads, rows * columns, channels // heads)


def window_reverse(x: Tensor, grid: tuple[int, int], size: tuple[int, int], map_size: tuple[int, int]) -> Tensor:
    """Inverse of ``window_partition``, padding dropped: (B·windows, heads, s·t, d) -> (B, H, W, heads·d)."""
    (down, across), (rows, columns) = grid, size
    heads, dim = x.shape[1], x.shape[3]
    x = x.reshape(-1, down, across, heads, rows, columns, dim).permute(0, 1, 4, 2, 5, 3, 6)
    x = x.reshape(-1, down * rows, across * columns, heads * dim)
    return x[:, : map_size[0], : map_size[1]]


def resize_bias(table: Tensor, size: tuple[int, int]) -> Tensor:
    """A (heads, s, t) bias table resized to (heads, *size); offset 0 stays offset 0, the largest stays the largest."""
    if tuple(table.shape[1:]) == size:
        return table
    # On the CPU, for not every device has float64.
    resized = F.interpolate(table[None].cpu().double(), size=size, mode="bilinear", align_corners=True)[0]
    return resized.to(table.dtype).to(table.device)
