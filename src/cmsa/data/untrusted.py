"""A picture from a stranger -> RGB uint8, with limits that are checked before anything is decoded."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmsa.data.image import ImageError, read_image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Pillow's names. Its other readers, some of which start other programs, are never tried."""

LONGEST_SIDE = 65_535
"""Pixels, as many as a JPEG can have. A PNG of a few kilobytes may have millions of rows, and each costs a call."""

_SCAN = b"\xff\xda"
_MOST_SCANS = 200
_MOST_PASSES = 20
"""Scans of a JPEG of any size, and of one as large as is taken. Encoders write about ten; each costs a pass over all
pixels, and a small file holds many thousands."""

Fault = Literal["unknown", "large", "damaged"]


class RefusedPicture(ImageError):
    """A picture that is not taken; the message names no path.

    Attributes:
        fault: ``unknown``: of none of the ``FORMATS``; ``large``: of too many pixels; ``damaged``: cannot be decoded.
    """

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


def read_untrusted(content: bytes, megapixels: float) -> NDArray[np.uint8]:
    """Read an encoded picture that anybody may have sent.

    Args:
        content: the file.
        megapixels: 10^6 pixels each; a picture of more is refused by its header.

    Returns:
        (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Raises:
        RefusedPicture: it is of another kind, too large or damaged.
    """
    try:
        # The header alone: nothing is decoded yet.
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise RefusedPicture("large", f"has far more than the {megapixels:g} megapixels that are taken here") from error
    except Exception as error:  # Pillow's readers report damage with many kinds of exception
        kinds = ", ".join(FORMATS)
        raise RefusedPicture(
            "unknown", f"is no picture, or is damaged; pictures of these kinds are taken: {kinds}"
        ) from error
    width, height = picture.size
    if width * height > megapixels * 1e6:
        raise RefusedPicture(
            "large",
            f"{height}x{width} (HxW) pixels are more than the {megapixels:g} megapixels that are taken here",
        )
    if max(width, height) > LONGEST_SIDE:
        raise RefusedPicture("large", f"{height}x{width} (HxW): no side may have more than {LONGEST_SIDE:,} pixels")
    if _is_jpeg(picture):
        scans, most = content.count(_SCAN), min(_MOST_SCANS, int(_MOST_PASSES * megapixels * 1e6 / (width * height)))
        if scans > most:
            raise RefusedPicture(
                "large", f"{scans} scans are more than the {most} that are decoded of {height}x{width} (HxW) pixels"
            )
    try:
        # The picture that was looked at, and not its bytes again, which another reader might take for its own.
        return read_image(picture)
    except ImageError as error:
        raise RefusedPicture("damaged", "the picture is damaged and cannot be read") from error


def _is_jpeg(picture: Image.Image) -> bool:
    """Whether a JPEG decoder reads it: also several JPEGs in one file, and a TIFF that holds one."""
    return picture.format in ("JPEG", "MPO") or picture.info.get("compression") == "jpeg"
