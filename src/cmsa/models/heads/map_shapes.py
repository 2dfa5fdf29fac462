"""What a head is told of the maps it will read."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

Size = tuple[int, int]


@dataclass(frozen=True)
class MapShapes:
    """The maps of a backbone, fine to coarse.

    Attributes:
        dims: channels of each map.
        sizes: (h, w) of each map.
        input_size: (H, W) of the images that the network takes.
        seen_size: (H, W) of the images that the backbone sees: ``working_size`` where there is one.
    """

    dims: tuple[int, ...]
    sizes: tuple[Size, ...]
    input_size: Size
    seen_size: Size

    @property
    def scales(self) -> tuple[int, ...]:
        """The powers of two by which the maps after the first are at least as large as it; odd sizes overlap."""
        (height, width), others = self.sizes[0], self.sizes[1:]
        return tuple(2 ** max(0, ceil(log2(max(height / h, width / w)))) for h, w in others)
