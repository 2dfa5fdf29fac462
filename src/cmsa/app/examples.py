"""Photos that the page offers, with their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmsa.data.boxes import DetectionFile, usable_boxes
from cmsa.data.image import read_image
from cmsa.structures import Box

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class Example:
    """A photo and where things are on it.

    Attributes:
        path: of the photo.
        boxes: those that can be used; none stands for the whole picture.
    """

    path: Path
    boxes: tuple[Box, ...]


def find_examples(folder: Path | None, within: str, boxes: str) -> list[Example]:
    """The photos of a folder that a tab offers.

    Args:
        folder: of all examples; None for none.
        within: the folder in it where this tab's photos are; where there is none, ``folder`` itself is taken.
        boxes: a COCO detection file beside the photos. Where there is one, only the photos that it names count.

    Raises:
        FileNotFoundError: there is no such folder.
        BoxesError: the detection file cannot be read.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder of examples")
    here = folder / within if (folder / within).is_dir() else folder
    photos = sorted(path for path in here.iterdir() if path.suffix.lower() in SUFFIXES)
    if not (here / boxes).is_file():
        return [Example(path, ()) for path in photos]
    named = DetectionFile.read(here / boxes)
    return [Example(path, _usable(path, found.boxes)) for path in photos if (found := named.find(path)) is not None]


def _usable(path: Path, given: list[object]) -> tuple[Box, ...]:
    height, width = read_image(path).shape[:2]
    return tuple(usable_boxes(given, height, width)[0].values())
