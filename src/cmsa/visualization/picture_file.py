"""A drawn picture as a file."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from cmsa.files.whole import whole_file
from cmsa.visualization.panel import Picture

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def check_picture_path(path: Path) -> None:
    """Refuse names of files that no picture is written to.

    Raises:
        ValueError: the name does not end in .png or .jpg.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: a picture's file ends in {', '.join(FORMATS)}")


def save_picture(path: Path, picture: Picture) -> None:
    """Write (H, W, 3) uint8 RGB as PNG or JPEG.

    Raises:
        ValueError: the name does not end in .png or .jpg.
        OSError: it cannot be written.
    """
    check_picture_path(path)
    with whole_file(path) as written:
        Image.fromarray(picture).save(written, format=FORMATS[path.suffix.lower()])
