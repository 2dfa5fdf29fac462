"""The head of SimCC (arXiv 2107.03332): for each keypoint logits of where it is on the x axis and on the y axis."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cmsa.models.heads.map_shapes import MapShapes

BINS_PER_PIXEL = 2.0
"""SimCC's splitting factor, the paper's choice."""


def axis_bins(input_size: tuple[int, int], split: float) -> tuple[int, int]:
    """Bins of the x axis and of the y axis for images of (H, W).

    Raises:
        ValueError: there would be fewer than one bin per pixel.
    """
    if not split >= 1:
        raise ValueError(f"split must be at least one bin per pixel, got {split}")
    height, width = input_size
    return round(width * split), round(height * split)


class SimCCHead(nn.Module):
    """One map for each keypoint, and from its pixels the logits of both axes, by a matrix that all keypoints share.

    The paper has a linear layer for each axis; here they are one matrix, whose rows are the bins of x, then of y. It
    has h·w·(bins of x + bins of y) numbers, 86 thousand at 32x24.

    Args:
        fusion: the maps of the stages -> a map for each keypoint, (B, K, h, w) of the size of the first,
            or of its ``heatmap_size``.
        maps: what the fusion reads; the head fits no other sizes.
        split: bins per pixel.

    Raises:
        ValueError: split is below 1.
    """

    def __init__(self, fusion: nn.Module, maps: MapShapes, split: float = BINS_PER_PIXEL) -> None:
        super().__init__()
        self.input_size, self.map_size = maps.input_size, _size_of(fusion, maps)
        self.fusion = fusion
        start = getattr(fusion, "start_with_logits", None)
        if callable(start):
            start()
        self.axes = nn.Linear(self.map_size[0] * self.map_size[1], sum(axis_bins(self.input_size, split)))
        nn.init.trunc_normal_(self.axes.weight, std=0.02)
        nn.init.zeros_(self.axes.bias)

    def set_map_shapes(self, maps: MapShapes) -> None:
        """Refuse other sizes.

        Raises:
            ValueError: they are others.
        """
        if (maps.input_size, _size_of(self.fusion, maps)) != (self.input_size, self.map_size):
            raise ValueError(
                f"a SimCC head for images of {self.input_size} (HxW) takes no images of {maps.input_size}: its bins "
                "are those of one size"
            )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) -> logits (B, K, bins of x + bins of y)."""
        return self.axes(self.fusion(maps).flatten(2))  # type: ignore[no-any-return]


def _size_of(fusion: nn.Module, maps: MapShapes) -> tuple[int, int]:
    size: tuple[int, int] = getattr(fusion, "heatmap_size", maps.sizes[0])
    return size
