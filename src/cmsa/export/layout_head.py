"""The mixer's head for inference: enlarging and mixing in one product on the small map.

Enlarging s times by a depth-wise transposed convolution of kernel and stride s gives each of the s·s places of a
pixel its own factor for each channel. A 1x1 convolution after it is, for each place, one product on the small map:

    W_k up(x)[s y + i, s x + j] = (W_k diag(u[:, i, j])) x[y, x]

so that the concatenated maps, the widest tensor of the network, are never made.

The products of a small map stand cell by cell: one pixel of the last map and all that lies in it. Putting them in
rows would move the mixed channels, more of them than of any map; so the maps are put into cells before their products
and only the few channels of the result are put back. Inside a cell the halvings follow one another, the coarsest
first, which is the order in which the products of every map come out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.models.attention import to_nchw, to_nhwc
from cmsa.models.heads.heatmap import MixerFusion
from cmsa.models.heads.simcc import SimCCHead
from cmsa.models.windows import pad_map


class DeployedMixer(nn.Module):
    """A fused ``MixerFusion``, summing what each map brings to the mixed one."""

    def __init__(self, head: MixerFusion) -> None:
        super().__init__()
        mix, score = head.mix, head.score
        assert isinstance(mix, nn.Conv2d)
        assert isinstance(score, nn.Conv2d)
        assert mix.bias is not None
        dims = [mix.in_channels - sum(part.in_channels for part in head.enlarge)]  # type: ignore[misc]
        dims += [part.in_channels for part in head.enlarge]  # type: ignore[misc]
        own, *others = torch.split(mix.weight[:, :, 0, 0], dims, dim=1)
        bias = mix.bias.detach().clone()
        self.channels, self.levels = mix.out_channels, len(others)
        self.others = nn.ModuleList()
        for level, (weight, enlarge) in enumerate(zip(others, head.enlarge, strict=True), 1):
            assert isinstance(enlarge, nn.ConvTranspose2d)
            assert enlarge.bias is not None
            assert enlarge.stride[0] == 2**level
            placed = torch.einsum("oc,cij->ijoc", weight, enlarge.weight[:, 0])
            in_cell = to_cells(placed.flatten(2)[None], level).reshape(-1, weight.shape[1])
            self.others.append(linear_from(in_cell, None))
            bias += weight @ enlarge.bias
        self.own = linear_from(own, bias)
        self.score = linear_from(score.weight[:, :, 0, 0], score.bias)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) -> (B, num_outputs, H_1, W_1)."""
        batch, _, height, width = maps[0].shape
        rows, columns = maps[-1].shape[2:]
        mixed: Tensor | None = None
        for product, level, x in zip([self.own, *self.others], range(self.levels + 1), maps, strict=True):
            above = self.levels - level
            cells = to_cells(pad_map(to_nhwc(x), rows << above, columns << above), above)
            part = product(cells).reshape(batch * rows, columns, -1, self.channels)
            mixed = part if mixed is None else mixed + part
        assert mixed is not None
        score = from_cells(self.score(F.gelu(mixed)), batch, self.levels)
        return to_nchw(score[:, :height, :width])


class DeployedSimCC(nn.Module):
    """A fused ``SimCCHead`` on such a mixer."""

    def __init__(self, head: SimCCHead) -> None:
        super().__init__()
        self.fusion = deployed_head(head.fusion)
        self.axes = linear_from(head.axes.weight, head.axes.bias)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) -> logits (B, K, bins)."""
        return self.axes(self.fusion(maps).flatten(2))  # type: ignore[no-any-return]


def deployed_head(fused: nn.Module) -> nn.Module:
    """A head without BatchNorms, for inference; heads that have nothing to gain stay as they are."""
    if isinstance(fused, MixerFusion):
        return DeployedMixer(fused)
    return DeployedSimCC(fused) if isinstance(fused, SimCCHead) else fused


def to_cells(x: Tensor, levels: int) -> Tensor:
    """Pixels cell by cell, cells of 2^levels squared: (B, H, W, C) -> (B·rows, columns, pixels of a cell, C)."""
    batch, height, width, channels = x.shape
    rows, columns, halves = height >> levels, width >> levels, [2] * levels
    x = x.reshape(batch * rows, *halves, columns, *halves, channels)
    pairs = [axis for level in range(levels) for axis in (1 + level, levels + 2 + level)]
    return x.permute(0, levels + 1, *pairs, 2 * levels + 2).reshape(batch * rows, columns, 4**levels, channels)


def from_cells(x: Tensor, batch: int, levels: int) -> Tensor:
    """Inverse of ``to_cells`` for a batch of so many images."""
    columns, channels = x.shape[1], x.shape[3]
    x = x.reshape(-1, columns, *[2] * 2 * levels, channels)
    down, across = range(2, 2 + 2 * levels, 2), range(3, 3 + 2 * levels, 2)
    return x.permute(0, *down, 1, *across, 2 + 2 * levels).reshape(batch, -1, columns << levels, channels)


def linear_from(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer that multiplies by ``weight`` (C', C) and adds ``bias`` (C')."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer
