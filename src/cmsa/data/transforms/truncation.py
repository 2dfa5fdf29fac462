"""People of whom only a part is seen, made of people who are seen whole: cut off by the picture's edge, or by a box.

Beyond the paper: half bodies show a part of a person amid the rest of it. A camera's picture ends somewhere, and a
detector's box ends where a table begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

VERTICAL, HORIZONTAL = 0.8, 0.4
"""How often a person that is cut loses height, and width; one that would lose neither loses height."""
FEET = 0.8
"""How often it is the lower part that is lost, of those that lose height."""
KEPT = (0.25, 0.9)
"""The smallest and the largest share of a side that is kept."""
EDGE = 0.5
"""How often the picture ends at the cut; else what is beyond stays, and the box alone is smaller."""
LEAST_POINTS = 2
"""A person is not cut so far that fewer visible keypoints than these are left."""


@dataclass(frozen=True, eq=False)
class Truncated:
    """What is left of a batch of B people.

    Attributes:
        crops: (B, H, W, 3) uint8 RGB, black where the picture has ended.
        boxes: (B, 4) of x, y, width, height in the crop: of the part that is left.
        seen: (B, K) bool, False for keypoints that are beyond the picture's new edge.
        cut: (B,) bool, which people were cut at all.
    """

    crops: Tensor
    boxes: Tensor
    seen: Tensor
    cut: Tensor


def truncate(
    crops: Tensor, boxes: Tensor, keypoints: Tensor, probability: float, generator: torch.Generator
) -> Truncated:
    """Cut a part off some people.

    Args:
        crops: (B, H, W, 3) uint8 RGB.
        boxes: (B, 4) of x, y, width, height in the crop.
        keypoints: (B, K, 3) of x, y in the crop and visibility (above 0: visible).
        probability: the share of people to cut; fewer are, for some would have too few keypoints left.
        generator: source of every random number, on the device of the crops.
    """
    batch, device = len(crops), crops.device

    def chance(share: float) -> Tensor:
        return torch.rand(batch, generator=generator, device=device) < share

    wide = chance(HORIZONTAL)
    high = chance(VERTICAL) | ~wide
    kept = torch.rand(batch, 2, generator=generator, device=device) * (KEPT[1] - KEPT[0]) + KEPT[0]
    kept = torch.where(torch.stack([wide, high], dim=1), kept, torch.ones_like(kept))
    # Whether the near end, left or top, is what is lost.
    near = torch.stack([chance(0.5), chance(1 - FEET)], dim=1)
    lowest, side = boxes[:, :2].float(), boxes[:, 2:].float()
    low = torch.where(near, lowest + side * (1 - kept), lowest)
    high_end = torch.where(near, lowest + side, lowest + side * kept)
    # Sides that were not cut go on for ever.
    is_cut = kept < 1
    from_here = torch.where(is_cut & near, low, torch.full_like(low, -torch.inf))
    to_here = torch.where(is_cut & ~near, high_end, torch.full_like(low, torch.inf))

    xy = keypoints[..., :2].float()
    inside = ((xy >= from_here[:, None]) & (xy <= to_here[:, None])).all(dim=2)
    enough = (inside & (keypoints[..., 2] > 0)).sum(dim=1) >= LEAST_POINTS
    cut = chance(probability) & enough
    ends = cut & chance(EDGE)

    columns, rows = (torch.arange(crops.shape[axis], device=device)[None] for axis in (2, 1))
    in_x = (columns >= from_here[:, :1]) & (columns <= to_here[:, :1])
    in_y = (rows >= from_here[:, 1:]) & (rows <= to_here[:, 1:])
    shown = (in_y[:, :, None] & in_x[:, None, :]) | ~ends[:, None, None]
    left = torch.where(cut[:, None], torch.cat([low, high_end - low], dim=1), boxes.float())
    return Truncated(crops * shown[..., None], left, inside | ~ends[:, None], cut)
