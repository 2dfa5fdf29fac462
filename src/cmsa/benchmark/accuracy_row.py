"""One network's accuracy at one resolution."""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, int]


@dataclass(frozen=True)
class AccuracyRow:
    """What one network makes of one resolution.

    Attributes:
        name: of the weights or the file.
        input_size: (H, W) of the network.
        resolution: (H, W) of what is left of each person.
        flip_test: averaged with the mirrored crop.
        AP, AP50, PCK: COCO's average precision by OKS, the one at 0.5, and PCK@0.2 by the torso; 0 to 1.
        low, high: ends of the 95 % interval of AP, from resampling the pictures.
        people: how many were scored.
    """

    name: str
    input_size: Size
    resolution: Size
    flip_test: bool
    AP: float
    low: float
    high: float
    AP50: float
    PCK: float
    people: int
