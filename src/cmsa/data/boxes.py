"""Boxes as people give them: lists, arrays and COCO detection files -> boxes of one picture, and what is wrong."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from cmsa.files.read_json import JsonError, is_number, read_json
from cmsa.structures import Box

# COCO names its pictures by their ids: 000000000139.jpg, COCO_val2014_000000000139.jpg.
_ID_IN_NAME = re.compile(r"(?:COCO_\w+_)?(\d+)")
_NAMED = 3
_SHOWN = 80
_SIDES = 1, 1_000_000
"""Pixels. Less is no region of a picture but mostly a share of its sides; with more, the map to the crop would lose all
digits."""
_ROUNDING = 1e-6


class BoxesError(ValueError):
    """Boxes that cannot be read at all; the message names the file, or what was given."""


def usable_boxes(given: Iterable[object], height: int, width: int) -> tuple[dict[int, Box], dict[int, str]]:
    """Tell the boxes that a crop can be cut for from the others.

    Args:
        given: boxes, each a ``Box`` or four numbers x, y, width, height, in pixels.
        height: of the picture.
        width: of the picture.

    Returns:
        The usable boxes and the reasons against the others, both by their places in ``given``. A box may reach
        beyond the picture, and is kept as it is; one that lies wholly outside is not usable.
    """
    usable: dict[int, Box] = {}
    reasons: dict[int, str] = {}
    for place, entry in enumerate(given):
        try:
            box = entry if isinstance(entry, Box) else Box(*_four_numbers(entry))
            box.clip(height, width)
            least, most = sorted((box.width, box.height))
            if least < _SIDES[0] - _ROUNDING or most > _SIDES[1]:
                raise ValueError(f"box {box.xywh}: width and height must be {_SIDES[0]} to {_SIDES[1]:,} pixels")
        except ValueError as error:
            reasons[place] = str(error)
        else:
            usable[place] = box
    return usable, reasons


def list_boxes(given: object) -> list[object]:
    """The entries of a list or an array of boxes; a single box is a list of one.

    Raises:
        BoxesError: it is neither, or an array of something else than numbers.
    """
    if isinstance(given, Box):
        return [given]
    if isinstance(given, np.ndarray) and (given.dtype.kind not in "iufO" or not given.ndim):
        raise BoxesError(f"boxes are an array of numbers, got {given.dtype} of the shape {given.shape}")
    if isinstance(given, str | bytes | dict) or not isinstance(given, Iterable):
        raise BoxesError(f"boxes are a list or an array of x, y, width, height, got {type(given).__name__}")
    entries = list(given)
    if entries and all(_is_number(entry) for entry in entries):
        if len(entries) not in (4, 5, 6):
            raise BoxesError(f"boxes are a list of lists of four numbers each, got a list of {len(entries)} numbers")
        return [entries]
    return entries


@dataclass(eq=False)
class Detections:
    """The boxes of one picture in a detection file.

    Attributes:
        image_id: the picture's id, if the file has one.
        boxes: as they stand in the file, unchecked.
        scores: one for each box; 1 where the file has none.
    """

    image_id: int | None = None
    boxes: list[object] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


class DetectionFile:
    """A COCO detection file: a list of ``{"image_id", "bbox": [x, y, width, height], "score", "category_id"}``.

    An entry may name its picture by ``file_name``; a picture is then found by the end of its path. Without, it is
    found by the ``image_id``, where its file is named like COCO's (``000000000139.jpg``).
    """

    def __init__(self, path: Path, pictures: dict[str | int, Detections]) -> None:
        self.path = path
        self.pictures = pictures
        self._names: dict[str, list[str]] = {}
        for key in pictures:
            if isinstance(key, str):
                self._names.setdefault(PurePath(key).name, []).append(key)

    @classmethod
    def read(cls, path: str | Path, category: int | None = None) -> DetectionFile:
        """Read a file.

        Args:
            path: of the file.
            category: entries of another ``category_id`` are left out; None keeps all. COCO's person is 1.

        Raises:
            BoxesError: the file is missing, not JSON, not a list of detections, or has none of the category.
        """
        path = Path(path)
        try:
            entries = read_json(path)
        except JsonError as error:
            raise BoxesError(str(error)) from error
        if not isinstance(entries, list):
            raise BoxesError(
                f"{path}: must hold a list of detections, got {type(entries).__name__}: entries with bbox, and "
                "file_name or image_id, as in COCO's result files, not its annotation files"
            )
        pictures: dict[str | int, Detections] = {}
        others: set[str] = set()
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise BoxesError(f"{path}: entry {place} is not an object")
            if category is not None and entry.get("category_id", category) != category:
                others.add(str(entry["category_id"]))
                continue
            key, image_id, score = _read_entry(entry, f"{path}: entry {place}")
            found = pictures.setdefault(key, Detections(image_id))
            found.boxes.append(entry.get("bbox"))
            found.scores.append(score)
        if others and not pictures:
            raise BoxesError(f"{path}: no detection of category {category}, found only {', '.join(sorted(others))}")
        return cls(path, pictures)

    def find(self, picture: str | Path) -> Detections | None:
        """The boxes of the picture at a path, None where the file does not name it."""
        path = _normal(Path(os.path.abspath(picture)).as_posix())
        names = [name for name in self._names.get(PurePath(path).name, ()) if f"/{path}".endswith(f"/{name}")]
        if names:
            return self.pictures[max(names, key=len)]
        identity = _ID_IN_NAME.fullmatch(Path(picture).stem)
        return self.pictures.get(int(identity[1])) if identity else None

    def only(self) -> Detections:
        """The boxes of the file's only picture, for a picture that has no name.

        Raises:
            BoxesError: the file names several pictures.
        """
        if len(self.pictures) > 1:
            raise BoxesError(
                f"{self.path}: names {len(self.pictures)} pictures ({self.named()}), so which one an image without a "
                "path is cannot be told: give its path, or its boxes as a list"
            )
        return next(iter(self.pictures.values()), Detections())

    @property
    def image_ids(self) -> set[int]:
        """The ids of the file's pictures."""
        return {found.image_id for found in self.pictures.values() if found.image_id is not None}

    def named(self) -> str:
        """The first few pictures of the file, for messages."""
        names = [str(key) for key in list(self.pictures)[:_NAMED]]
        return ", ".join([*names, "..."] if len(self.pictures) > _NAMED else names)


def _read_entry(entry: dict[str, Any], where: str) -> tuple[str | int, int | None, float]:
    """What the entry's picture is found by, its id and the entry's score."""
    name, image_id, score = entry.get("file_name"), entry.get("image_id"), entry.get("score", 1.0)
    if not isinstance(image_id, int):
        image_id = None
    if not is_number(score):
        raise BoxesError(f"{where}: score must be a number, got {_short(score)}")
    if isinstance(name, str) and name:
        key = _normal(name.replace("\\", "/")).removeprefix("./")
        return key, image_id, float(score)
    if image_id is None:
        raise BoxesError(f"{where}: has neither a file_name nor a whole number as image_id")
    return image_id, image_id, float(score)


def _normal(name: str) -> str:
    # File systems differ in how they write an accented letter.
    return unicodedata.normalize("NFC", name)


def plain_numbers(entry: object) -> tuple[float, ...] | None:
    """The numbers of a list, a row of an array or a tensor; None of text, truth values and the like."""
    if isinstance(entry, str | bytes | dict) or not isinstance(entry, Iterable):
        return None
    values = entry.tolist() if hasattr(entry, "tolist") else list(entry)
    values = [value.item() if hasattr(value, "item") else value for value in values]
    try:
        return tuple(map(float, values)) if all(map(_is_number, values)) else None
    except OverflowError:  # of a whole number that has too many digits
        return None


def _four_numbers(entry: object) -> tuple[float, float, float, float]:
    numbers = plain_numbers(entry)
    if numbers is None or len(numbers) != 4:
        raise ValueError(f"box {_short(entry)}: must be four numbers x, y, width, height")
    x, y, width, height = numbers
    return x, y, width, height


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
