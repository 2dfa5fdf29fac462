"""How far a crop reaches beyond the box of a face: the margins of the published protocols, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cmsa.structures import Box


@dataclass(frozen=True)
class FaceMargin:
    """Margins as fractions of the box's width (left, right) and height (top, bottom)."""

    left: float
    top: float
    right: float
    bottom: float

    def widen(self, box: Box) -> Box:
        """The region to crop. It may leave the picture; there the crop is black."""
        return Box(
            box.x - self.left * box.width,
            box.y - self.top * box.height,
            box.width * (1 + self.left + self.right),
            box.height * (1 + self.top + self.bottom),
        )


def hopenet_margin(k: float, side: float = 0.6, top: float = 2.0, bottom: float = 0.6) -> FaceMargin:
    """Hopenet's margins (``code/datasets.py``): left and top first, then right and bottom of the box so widened."""
    return FaceMargin(side * k, top * k, side * k * (1 + side * k), bottom * k * (1 + top * k))


def even_margin(fraction: float) -> FaceMargin:
    """The same fraction on all sides (FSA-Net ``data/TYY_create_db_*.py``, without its cut at the picture's edge)."""
    return FaceMargin(fraction, fraction, fraction, fraction)


MarginName = Literal[
    "hopenet-300w-lp",
    "hopenet-aflw2000",
    "hopenet-biwi",
    "hopenet-aflw2000-wide",
    "hopenet-biwi-low",
    "fsanet",
    "fsanet-biwi",
    "none",
]

FACE_MARGINS: dict[MarginName, FaceMargin] = {
    # Hopenet draws k from 0.2 to 0.4 for each sample; the middle, since the augmentation scales.
    "hopenet-300w-lp": hopenet_margin(0.3),
    "hopenet-aflw2000": hopenet_margin(0.2),
    "hopenet-biwi": hopenet_margin(0.35),
    # What the released code does for these two sets, other than for 300W-LP.
    "hopenet-aflw2000-wide": hopenet_margin(0.2, side=2.0),
    "hopenet-biwi-low": hopenet_margin(0.35, top=1.0),
    "fsanet": even_margin(0.6),
    "fsanet-biwi": even_margin(0.4),
    "none": even_margin(0.0),
}


def face_margin(name: str) -> FaceMargin:
    """The margins called ``name``.

    Raises:
        ValueError: there are none of that name.
    """
    for known, margin in FACE_MARGINS.items():
        if known == name:
            return margin
    raise ValueError(f"face margin {name!r}: must be one of {', '.join(FACE_MARGINS)}")
