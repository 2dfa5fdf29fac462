"""SimpleBaseline's head: transposed convolutions on the last map (arXiv 1804.06208)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import ceil, log2

from torch import Tensor, nn

from cmsa.models.heads.map_shapes import MapShapes
from cmsa.models.reparam import norm_scale_shift
from cmsa.models.windows import ceil_divide

WIDTH = 256
STRIDE = 4
"""Of the heatmaps, in pixels of the images that the backbone sees."""


class Deconvolution(nn.Sequential):
    """Heatmaps at a quarter of what the backbone sees, from the last map, doubled as often as that takes.

    Where maps of odd sizes were rounded up, what is too large is cut off below and to the right.
    """

    heatmap_size: tuple[int, int]

    def __init__(self, maps: MapShapes, num_outputs: int) -> None:
        self.set_map_shapes(maps)
        wanted = max(self.heatmap_size[axis] / maps.sizes[-1][axis] for axis in (0, 1))
        layers: list[nn.Module] = []
        width = maps.dims[-1]
        for _ in range(max(0, ceil(log2(wanted)))):
            layers += [
                nn.ConvTranspose2d(width, WIDTH, 4, 2, 1, bias=False),
                nn.BatchNorm2d(WIDTH),
                nn.ReLU(inplace=True),
            ]
            width = WIDTH
        super().__init__(*layers, nn.Conv2d(width, num_outputs, 1))
        for module in self:
            if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)

    def set_map_shapes(self, maps: MapShapes) -> None:
        """Take maps of other sizes."""
        self.heatmap_size = ceil_divide(maps.seen_size[0], STRIDE), ceil_divide(maps.seen_size[1], STRIDE)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, h_i, w_i) -> (B, num_outputs, h, w)."""
        x = maps[-1]
        for layer in self:
            x = layer(x)
        return x[:, :, : self.heatmap_size[0], : self.heatmap_size[1]]

    def fuse(self) -> Deconvolution:
        """The equivalent without BatchNorms."""
        fused = copy.deepcopy(self)
        for index, norm in enumerate(self):
            if isinstance(norm, nn.BatchNorm2d):
                scale, shift = norm_scale_shift(norm)
                conv = fused[index - 1]
                assert isinstance(conv, nn.ConvTranspose2d)
                conv.weight = nn.Parameter((conv.weight * scale[:, None, None]).detach())
                conv.bias = nn.Parameter(shift.detach().clone())
                fused[index] = nn.Identity()
        return fused.eval()
