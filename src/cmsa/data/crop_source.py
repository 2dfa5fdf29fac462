"""What a crop store is cut from: a picture, its regions, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.data.image import ImageError, read_image

NO_STAMP = (-1, -1)
"""Of a picture that is not there, or was cut by a version that kept no stamps."""


@dataclass(frozen=True, eq=False)
class CropSource:
    """One picture and the n samples to cut from it.

    Attributes:
        image: the file, or its pixels, (H, W, 3) uint8 RGB.
        centers: (n, 2) centre (x, y) of each region, in pixels of the picture.
        extents: (n, 2) width and height of each region, before ``CropSpec`` extends and pads it.
        labels: arrays whose first axis is n; coordinates in pixels of the picture. Every source of a store has the
            same names and shapes. ``matrix`` is the store's own.
        size: (height, width) that the labels were made for. A file of another size is turned as its EXIF orientation
            says, if it then fits; otherwise it cannot be used.
        apply_exif: turn a file in any case; annotations commonly belong to the stored pixels.

    Raises:
        ValueError: an array has another length or shape, is not finite, or an extent is not positive.
    """

    image: Path | NDArray[np.uint8]
    centers: NDArray[np.floating[Any]]
    extents: NDArray[np.floating[Any]]
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    apply_exif: bool = False

    def __post_init__(self) -> None:
        count = len(self.centers)
        for name in ("centers", "extents"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (count, 2):
                raise ValueError(f"{self.name}: {name} must have shape ({count}, 2), got {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"{self.name}: {name} must be finite")
            object.__setattr__(self, name, values)
        if (self.extents <= 0).any():
            raise ValueError(f"{self.name}: extents must be positive, got {self.extents.min():g}")
        if "matrix" in self.labels:
            raise ValueError(f"{self.name}: the label name 'matrix' is the store's own")
        for name, label in self.labels.items():
            if len(label) != count:
                raise ValueError(f"{self.name}: label {name!r} has {len(label)} entries for {count} samples")

    def __len__(self) -> int:
        return len(self.centers)

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.image) if isinstance(self.image, Path) else f"image of {self.image.shape} in memory"

    def read(self) -> NDArray[np.uint8]:
        """The picture.

        Raises:
            ImageError: it cannot be read, or is of another size than its labels.
        """
        if not isinstance(self.image, Path):
            return self.image
        pixels = read_image(self.image, apply_exif=self.apply_exif)
        if self.size is not None and pixels.shape[:2] != self.size:
            turned = read_image(self.image, apply_exif=True)
            if turned.shape[:2] == self.size:
                return turned
            raise ImageError(
                f"{self.image}: is of {_hxw(pixels.shape)} (HxW), its annotation of {_hxw(self.size)}: "
                "the labels belong to other pixels"
            )
        return pixels

    def stamp(self) -> tuple[int, int]:
        """Size in bytes and time of the last change of the file in nanoseconds; constant for pixels in memory."""
        if not isinstance(self.image, Path):
            return 0, 0
        try:
            status = self.image.stat()
        except OSError:
            return NO_STAMP
        return status.st_size, status.st_mtime_ns


def _hxw(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
