"""A drawn picture as a file."""

from __future__ import annotations

from pathlib import Path

import cv2
from PIL import Image

from cmsa.files.whole import whole_file
from cmsa.visualization.panel import Picture

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]


def check_picture_path(path: Path) -> None:
    """Refuse names of files that no picture is written to.

    Raises:
        ValueError: the name does not end in .png or .jpg.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: a picture's file ends in {', '.join(FORMATS)}")


def save_picture(picture: Picture, path: Path) -> None:
    """Write (H, W, 3) uint8 RGB as PNG or JPEG, whole or not at all; the suffix says the format.

    Raises:
        ValueError: the name does not end in .png or .jpg.
        OSError: it cannot be written.
    """
    check_picture_path(path)
    with whole_file(path) as written:
        if FORMATS[path.suffix.lower()] == "JPEG":
            # OpenCV's encoder takes three fifths of the time of Pillow's.
            _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _JPEG)
            written.write_bytes(encoded.tobytes())
        else:
            Image.fromarray(picture).save(written, format="PNG", compress_level=1)
