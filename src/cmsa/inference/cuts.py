"""What is cut from a picture before a network sees it: made in one thread, predicted in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cmsa.structures import Box, FloatArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Region:
    """A crop (H, W, 3) uint8 RGB that waits for the network, the 2x3 map from the picture, and the box it is of."""

    crop: Picture = field(repr=False)
    matrix: FloatArray = field(repr=False)
    box: Box


@dataclass(frozen=True, eq=False)
class CutPicture:
    """What the network is to see of a picture.

    Attributes:
        regions: the usable boxes with their crops.
        places: their places among the boxes given.
        reasons: what is wrong with the other boxes, by their places.
        hurry: its values are wanted at once, so that a batch is not filled up first (a camera).
    """

    regions: Sequence[Region] = ()
    places: Sequence[int] = ()
    reasons: Mapping[int, str] = field(default_factory=dict)
    hurry: bool = False
