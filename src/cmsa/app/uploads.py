"""What a visitor uploads -> a picture, or a message that a visitor can read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmsa.data.untrusted import RefusedPicture, read_untrusted


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
    try:
        return read_untrusted(content, limits.megapixels)
    except RefusedPicture as error:
        raise UploadError(f"{name}: {error}") from error
