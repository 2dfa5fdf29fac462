"""What a visitor uploads -> a picture, or a message that a visitor can read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmsa.data.image import ImageError, read_image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Pillow's names. Its other readers, some of which start other programs, are never tried on an upload."""


class UploadError(ValueError):
    """A file that is not taken; the message names no path of the server."""


@dataclass(frozen=True)
class Limits:
    """What is taken at most.

    Attributes:
        megabytes: of the file, 10^6 bytes each.
        megapixels: of the picture; it is refused before it is decoded.

    Raises:
        ValueError: one of them is not positive.
    """

    megabytes: float = 10.0
    megapixels: float = 25.0

    def __post_init__(self) -> None:
        if not (self.megabytes > 0 and self.megapixels > 0):
            raise ValueError(f"limits must be positive, got {self.megabytes} megabytes, {self.megapixels} megapixels")


def read_upload(path: str | Path, limits: Limits | None = None) -> NDArray[np.uint8]:
    """Read an uploaded file.

    Args:
        path: where the server keeps it.
        limits: the usual ones by default.

    Returns:
        (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Raises:
        UploadError: it is too large, of another kind, or damaged.
    """
    limits = limits or Limits()
    name = Path(path).name
    try:
        size = Path(path).stat().st_size / 1e6
        if size > limits.megabytes:
            raise UploadError(f"{name}: {size:.1f} MB are more than the {limits.megabytes:g} MB that are taken here")
        content = Path(path).read_bytes()
    except OSError as error:
        raise UploadError(f"{name}: the upload is not there any more, please send it again") from error
    _check_header(content, name, limits)
    try:
        return read_image(content)
    except ImageError as error:
        raise UploadError(f"{name}: the picture is damaged and cannot be read") from error


def _check_header(content: bytes, name: str, limits: Limits) -> None:
    try:
        # The header alone: nothing is decoded yet.
        width, height = Image.open(io.BytesIO(content), formats=FORMATS).size
    except Image.DecompressionBombError as error:
        raise UploadError(f"{name}: has far more than the {limits.megapixels:g} megapixels taken here") from error
    except Exception as error:  # Pillow's readers report damage with many kinds of exception
        kinds = ", ".join(FORMATS)
        raise UploadError(
            f"{name}: is no picture, or is damaged; pictures of these kinds are taken: {kinds}"
        ) from error
    if width * height > limits.megapixels * 1e6:
        raise UploadError(
            f"{name}: {height}x{width} (HxW) pixels are more than the {limits.megapixels:g} megapixels "
            "that are taken here"
        )
