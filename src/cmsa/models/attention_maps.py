"""Where each head group of a CMSA network looks: the attention weights, read from a network as it runs.

Nothing of the network is changed: hooks keep the queries and keys that each group is given, and the weights are
computed from them when they are asked for, softmax(q k^T / sqrt(D) + bias), all of them or those of one pixel.

Shape legend: B batch, W windows of a map, h heads of a group, Q = s·t queries and K = s/r·t/r keys of a window,
D = key_dim.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from cmsa.models.attention import CascadedMultiScaleAttention, FusedWindowAttention, WindowAttention
from cmsa.models.windows import Window, window_partition


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """What one group of heads attends to, for a batch.

    Attributes:
        stage: 0 for the first.
        block: within the stage, 0 for the first.
        group: within the block, 0 for the one with the largest window.
        window: sizes of the map, its windows and the stride of the keys.
        query: (B, W, h, Q, D), divided by sqrt(D).
        key: (B, W, h, K, D).
        bias: (W, h, Q, K), or (1, h, Q, K) where all windows have the same.
    """

    stage: int
    block: int
    group: int
    window: Window
    query: Tensor
    key: Tensor
    bias: Tensor

    @property
    def heads(self) -> int:
        """h."""
        return self.query.shape[2]

    @property
    def weights(self) -> Tensor:
        """(B, W, h, Q, K); rows sum to one."""
        weights: Tensor = (self.query @ self.key.transpose(-2, -1) + self.bias).softmax(dim=-1)
        return weights

    def at(self, row: int, column: int, image: int = 0) -> Tensor:
        """Where one pixel of the stage's map looks.

        Args:
            row: of the query, from 0 to H - 1 of the stage's map.
            column: of the query.
            image: its place in the batch.

        Returns:
            (h, H/r, W/r): the weight of every key of the pooled map, 0 outside of the query's window; each head's sum
            to one.

        Raises:
            IndexError: the pixel does not lie on the map.
        """
        (rows, columns), (key_rows, key_columns) = self.window.size, self.window.key_size
        down, across = self._window_of(row, column)
        place = row % rows * columns + column % columns
        number = down * self.window.grid[1] + across
        query, key = self.query[image, number, :, place], self.key[image, number]
        bias = self.bias[min(number, len(self.bias) - 1), :, place]
        weights: Tensor = ((key @ query[..., None])[..., 0] + bias).softmax(dim=-1)
        grid_rows, grid_columns = self.window.grid
        padded = weights.new_zeros(self.heads, grid_rows * key_rows, grid_columns * key_columns)
        top, left = down * key_rows, across * key_columns
        padded[:, top : top + key_rows, left : left + key_columns] = weights.reshape(-1, key_rows, key_columns)
        height, width = self.window.key_map_size
        return padded[:, :height, :width]

    def limits(self, row: int, column: int) -> tuple[int, int, int, int]:
        """The query's window on the stage's map: top, left, bottom, right, the last two exclusive.

        Raises:
            IndexError: the pixel does not lie on the map.
        """
        down, across = self._window_of(row, column)
        (rows, columns), (height, width) = self.window.size, self.window.map_size
        top, left = down * rows, across * columns
        return top, left, min(top + rows, height), min(left + columns, width)

    def _window_of(self, row: int, column: int) -> tuple[int, int]:
        height, width = self.window.map_size
        if not (0 <= row < height and 0 <= column < width):
            raise IndexError(f"pixel ({row}, {column}) does not lie on the map of {height}x{width} (HxW)")
        return row // self.window.size[0], column // self.window.size[1]


@contextmanager
def watch_attention(network: nn.Module) -> Iterator[list[AttentionMap]]:
    """Keep what every group of heads attends to while a network runs.

    Args:
        network: a CMSA network, fused or not. Of other networks nothing is kept.

    Yields:
        The list that each run inside of the ``with`` block adds to, one for each group in the order in which they are
        computed.

    Examples:
        >>> import torch
        >>> from cmsa import create_model
        >>> model = create_model("cmsa_n", "pose", (32, 24)).eval()
        >>> with torch.inference_mode(), watch_attention(model) as maps:
        ...     heatmaps = model(torch.rand(1, 3, 32, 24))
        >>> [found.window.size for found in maps if (found.stage, found.block) == (0, 0)]
        [(32, 24), (16, 12), (8, 6)]
        >>> maps[0].at(16, 12).sum(dim=(1, 2)).round().tolist()  # of each head, over the keys
        [1.0]
    """
    found: list[AttentionMap] = []
    hooks = []
    for stage, block, group, module in _groups(network):

        def keep(
            module: WindowAttention | FusedWindowAttention,
            given: tuple[Tensor, Tensor],
            _: Tensor,
            place: tuple[int, int, int] = (stage, block, group),
        ) -> None:
            found.append(AttentionMap(*place, module.window, *_parts(module, *given)))

        hooks.append(module.register_forward_hook(keep))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _groups(network: nn.Module) -> Iterator[tuple[int, int, int, nn.Module]]:
    for stage, blocks in enumerate(getattr(network, "stages", ())):
        for block, parts in enumerate(blocks.children()):
            attention = getattr(parts, "attention", None)
            if isinstance(attention, CascadedMultiScaleAttention):
                for group, module in enumerate(attention.groups):
                    yield stage, block, group, module


def _parts(module: WindowAttention | FusedWindowAttention, q: Tensor, kv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, H, W, h·D), (B, H/r, W/r, h·(D+V)) -> query, key and bias as ``AttentionMap`` has them."""
    window, heads, width = module.window, module.heads, module.key_dim
    query = window_partition(q, window.grid, window.size, heads) * width**-0.5
    key = window_partition(kv, window.grid, window.key_size, heads)[..., :width]
    bias = module.bias if isinstance(module, FusedWindowAttention) else module.relative_position_bias()
    batch = q.shape[0]
    return (
        query.reshape(batch, -1, *query.shape[1:]),
        key.reshape(batch, -1, *key.shape[1:]),
        bias.reshape(-1, heads, *bias.shape[2:]),
    )
