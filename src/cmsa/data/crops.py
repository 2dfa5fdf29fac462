"""Crops: how a region of a picture becomes a few pixels, and the frame in which a store keeps it.

The **base crop** is what the network sees without augmentation: H x W pixels. A store keeps more: the base crop in
the middle of a larger **store crop**, sampled more densely, so that scaling and turning it later loses nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from cmsa.geometry.affine import compose_affine, invert_affine
from cmsa.geometry.crops import BOX_PADDING, CropConvention, crop_affine, extend_to_aspect
from cmsa.structures import Box, FloatArray

_LARGEST_CANVAS = 8192
"""A region far larger than its picture must not ask for gigabytes of intermediate pixels."""


def cut_crop(
    image: NDArray[np.uint8], matrix: FloatArray, size: tuple[int, int], *, antialias: bool = True
) -> NDArray[np.uint8]:
    """Cut a crop out of a picture.

    Args:
        image: (H, W, 3) uint8.
        matrix: 2x3, picture to crop; pixel centres at integers in both.
        size: (height, width) of the crop.
        antialias: sample bilinearly at least once for each pixel of the picture and average, as a camera of low
            resolution does. False samples once for each pixel of the crop, as HRNet and its followers do; it
            aliases when the crop is much smaller than the region.

    Returns:
        (height, width, 3) uint8, black where the crop leaves the picture.

    Examples:
        >>> import numpy as np
        >>> picture = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, axis=2)
        >>> halved = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])  # the edges of picture and crop coincide
        >>> cut_crop(picture, halved, (2, 2))[:, :, 0].tolist()
        [[3, 5], [11, 13]]
    """
    import cv2  # here, because what runs without OpenCV asks this module for geometry

    height, width = size
    factor = supersampling(matrix, size) if antialias else 1
    # Pixel p of the crop covers the fine pixels factor * p ... factor * p + factor - 1.
    fine = matrix * factor
    fine[:, 2] += (factor - 1) / 2
    canvas = cv2.warpAffine(image, fine, (width * factor, height * factor), flags=cv2.INTER_LINEAR)
    if factor > 1:
        # At an integer ratio, INTER_AREA is the mean of each block.
        canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(canvas, dtype=np.uint8)


def supersampling(matrix: FloatArray, size: tuple[int, int]) -> int:
    """Samples along each axis that are averaged for one pixel of a crop: at least one for each pixel of the picture.

    Args:
        matrix: 2x3, picture to crop.
        size: (height, width) of the crop.
    """
    (a, b, _), (c, d, _) = invert_affine(matrix).tolist()
    step = max(math.sqrt(a * a + c * c), math.sqrt(b * b + d * d))
    return max(1, min(_ceil(step), _LARGEST_CANVAS // max(size)))


SAMPLED_DENSITY = 3.0
"""Store pixels for each input pixel of training crops that are not averaged."""


@dataclass(frozen=True)
class CropSpec:
    """How crops are cut and kept. Sizes are (height, width).

    Attributes:
        size: the network's input, in pixels.
        store_size: the crop that is kept, in pixels.
        density: pixels of the store for each pixel of the input.
        padding: a region is extended to the aspect of ``size`` and enlarged by this factor (1.25: HRNet).
        convention: see ``cmsa.geometry.crops.crop_affine``.
        antialias: see ``cut_crop``.

    Raises:
        ValueError: a size, the density or the padding is not positive, or there is no such convention.

    Examples:
        >>> CropSpec.for_training((32, 24)).store_size
        (81, 81)
        >>> spec = CropSpec.for_evaluation((32, 24))
        >>> spec.base_matrix((50.0, 40.0), (60.0, 80.0))[0].round(2).tolist()  # a box of 60x80 pixels, enlarged
        [0.32, 0.0, -4.5]
    """

    size: tuple[int, int]
    store_size: tuple[int, int]
    density: float = 1.0
    padding: float = BOX_PADDING
    convention: CropConvention = "pixel"
    antialias: bool = True

    def __post_init__(self) -> None:
        if min(*self.size, *self.store_size) < 1:
            raise ValueError(f"CropSpec: sizes must be positive, got {self.size} and {self.store_size} (HxW)")
        if not (self.density > 0 and self.padding > 0):
            raise ValueError(f"CropSpec: density {self.density} and padding {self.padding} must be positive")
        if self.convention not in get_args(CropConvention):
            known = ", ".join(get_args(CropConvention))
            raise ValueError(f"CropSpec: convention {self.convention!r}: must be one of {known}")

    @classmethod
    def for_training(
        cls,
        size: tuple[int, int],
        max_scale: float = 1.35,
        max_rotation: float = 90.0,
        density: float | None = None,
        *,
        padding: float = BOX_PADDING,
        convention: CropConvention = "pixel",
        antialias: bool = True,
    ) -> CropSpec:
        """The smallest store that holds every region scaled by up to ``max_scale`` and turned by ``max_rotation``.

        Args:
            size: (height, width) of the network's input.
            max_scale: largest enlargement of the region (1.35: HRNet).
            max_rotation: largest turn, in degrees, either way.
            density: by default 1.5, which keeps a region shrunk to 0.65 (HRNet's least) at one store pixel for each
                input pixel; 3 without antialiasing.
            padding: as for the class.
            convention: as for the class.
            antialias: as for the class.

        Raises:
            ValueError: the density is not an odd whole number and ``antialias`` is off. What is sampled cannot be
                sampled anew: a pixel of the input must be a pixel of the store, or training sees other crops than
                those that are scored.
        """
        if density is None:
            density = 1.5 if antialias else SAMPLED_DENSITY
        height, width = size
        reach = density * max_scale
        store_size = (
            _ceil(reach * _turned_side(height, width, max_rotation)),
            _ceil(reach * _turned_side(width, height, max_rotation)),
        )
        if not antialias:
            if density % 2 != 1:
                raise ValueError(f"crops without antialiasing are kept at a density of 1, 3, 5 ..., not {density:g}")
            # Around the same middle, pixels meet where both sides are even or both are odd.
            rows, columns = ((kept - side) % 2 for kept, side in zip(store_size, size, strict=True))
            store_size = (store_size[0] + rows, store_size[1] + columns)
        return cls(size, store_size, density, padding, convention, antialias)

    @classmethod
    def for_evaluation(
        cls,
        size: tuple[int, int],
        *,
        padding: float = BOX_PADDING,
        convention: CropConvention = "pixel",
        antialias: bool = True,
    ) -> CropSpec:
        """A store that keeps exactly what the network sees."""
        return cls(size, size, 1.0, padding, convention, antialias)

    @property
    def base_to_store(self) -> FloatArray:
        """2x3 map ``u = (store_size - 1) / 2 + density (p - (size - 1) / 2)``, base crop p to store crop u."""
        middle = np.array(self.size[::-1], dtype=np.float64) / 2 - 0.5
        store_middle = np.array(self.store_size[::-1], dtype=np.float64) / 2 - 0.5
        shift = store_middle - self.density * middle
        return np.concatenate([self.density * np.eye(2), shift[:, None]], axis=1)

    def base_matrix(self, center: tuple[float, float], extent: tuple[float, float]) -> FloatArray:
        """2x3 map from the picture to the base crop of the region at ``center`` (x, y), ``extent`` (width, height)."""
        region = extend_to_aspect(Box(0, 0, *extent), self.size, self.padding)
        return crop_affine(center, region, self.size, 0.0, self.convention)

    def store_matrix(self, center: tuple[float, float], extent: tuple[float, float]) -> FloatArray:
        """2x3 map from the picture to the store crop of the same region."""
        return compose_affine(self.base_to_store, self.base_matrix(center, extent))


def _turned_side(along: float, across: float, degrees: float) -> float:
    """Longest extent along one axis of a rectangle turned by up to ``degrees``."""
    turn = min(math.radians(degrees), math.atan2(across, along))
    return along * math.cos(turn) + across * math.sin(turn)


def _ceil(number: float) -> int:
    """Rounds up, but takes the 2.0000001 of a rounded computation for 2."""
    return math.ceil(number - 1e-6)
