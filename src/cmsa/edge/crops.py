"""Crops without OpenCV: of upright regions only, whose samples lie on a grid along the axes of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cmsa.data.crops import supersampling
from cmsa.structures import FloatArray


def cut_upright_crop(
    picture: NDArray[np.uint8], matrix: FloatArray, size: tuple[int, int], *, antialias: bool = True
) -> NDArray[np.uint8]:
    """As ``cmsa.data.crops.cut_crop``, for a map that does not turn.

    The samples are rounded before they are averaged, as OpenCV's are: pixels differ from its by one grey level here
    and there.

    Args:
        picture: (H, W, 3) uint8.
        matrix: 2x3, picture to crop, zero beside the diagonal; pixel centres at integers in both.
        size: (height, width) of the crop.
        antialias: average over each crop pixel.

    Returns:
        (height, width, 3) uint8, black where the crop leaves the picture.
    """
    height, width = size
    factor = supersampling(matrix, size) if antialias else 1
    rows = Samples.along(matrix[1, 1], matrix[1, 2], height, picture.shape[0], factor)
    columns = Samples.along(matrix[0, 0], matrix[0, 2], width, picture.shape[1], factor)
    crop = np.empty((height, width, 3), np.uint8)
    # Row by row, for the samples of all rows may be many times the picture.
    for place in range(height):
        lines = rows.part(slice(place * factor, (place + 1) * factor)).of(picture[:, columns.reach], axis=0)
        samples = np.rint(columns.of(lines, axis=1))
        crop[place] = np.rint(samples.reshape(factor, width, factor, 3).mean(axis=(0, 2)))
    return crop


@dataclass(frozen=True, eq=False)
class Samples:
    """Bilinear samples along one axis: each is a part of one pixel and of the next, and what leaves the picture is 0.

    Attributes:
        first: (N,) indices of pixels, from the beginning of ``reach``.
        second: (N,) those of the next ones.
        shares: (2, N) float32, how much of each.
        reach: the part of the axis that is read.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    shares: NDArray[np.float32]
    reach: slice

    @classmethod
    def along(cls, scale: float, shift: float, count: int, length: int, factor: int) -> Self:
        """The samples of ``count`` crop pixels, ``factor`` of each, on an axis of ``length`` pixels.

        Args:
            scale: crop pixels for each pixel of the picture.
            shift: where the picture's first pixel falls in the crop.
            count: of crop pixels.
            length: of the picture, in pixels.
            factor: samples of a crop pixel.
        """
        fine = (np.arange(count * factor) - (factor - 1) / 2) / factor
        places = (fine - shift) / scale
        first = np.floor(places).astype(np.int64)
        second, after = first + 1, places - first
        shares = np.stack([(1 - after) * _inside(first, length), after * _inside(second, length)])
        first, second = first.clip(0, length - 1), second.clip(0, length - 1)
        start = int(first.min())
        return cls(first - start, second - start, shares.astype(np.float32), slice(start, int(second.max()) + 1))

    def part(self, chosen: slice) -> Samples:
        """Some of the samples, with indices from the beginning of the axis."""
        start = self.reach.start
        return Samples(self.first[chosen] + start, self.second[chosen] + start, self.shares[:, chosen], slice(None))

    def of(self, pixels: NDArray[Any], axis: int) -> NDArray[np.float32]:
        """The samples of pixels (..., colours), along an axis of them."""
        shape = [-1 if place == axis else 1 for place in range(pixels.ndim)]
        before, after = (share.reshape(shape) for share in self.shares)
        sampled: NDArray[np.float32] = pixels.take(self.first, axis) * before + pixels.take(self.second, axis) * after
        return sampled


def _inside(indices: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    return (indices >= 0) & (indices < length)
