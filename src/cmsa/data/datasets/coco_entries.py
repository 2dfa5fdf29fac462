"""One entry of a COCO file -> one person and what the score knows of them, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.data.problems import Problems
from cmsa.files.read_json import is_number
from cmsa.structures import Box

FARTHEST = 10_000_000
"""Pixels from the picture's corner; a keypoint that is farther away is a mistake, and crops hold no such numbers."""


@dataclass(frozen=True)
class Picture:
    """A picture's file, its size in pixels as the annotation has it, and whether there is such a file."""

    file: Path
    height: int
    width: int
    present: bool = True


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a picture.

    Attributes:
        image_id: the picture's id.
        annotation_id: the annotation's id; for a detection, its place in the file.
        picture: its file, and the size that the coordinates count on.
        box: in pixels of the picture; an annotation's is clipped to it.
        keypoints: (K, 3) x, y in pixels of the picture and v (0 not marked, 1 hidden, 2 visible); None for a detection.
        area: of the annotation's segment in square pixels (the scale of OKS); for a detection, of its box.
        score: of the detection; 1 for ground truth.
    """

    image_id: int
    annotation_id: int
    picture: Picture
    box: Box
    keypoints: NDArray[np.float64] | None
    area: float
    score: float = 1.0

    @property
    def file(self) -> Path:
        """The picture's file."""
        return self.picture.file


@dataclass(frozen=True, eq=False)
class Truth:
    """An annotation as the average precision counts it: also crowds, people without a marked keypoint (both ignored)
    and people whose picture is not there (missed).

    Attributes:
        image_id: the picture's id.
        keypoints: (K, 3) x, y and v, as in the file.
        box: x, y, width, height as in the file, not clipped.
        area: of the segment in square pixels.
        crowd: stands for many people.
    """

    image_id: int
    keypoints: NDArray[np.float64]
    box: tuple[float, float, float, float]
    area: float
    crowd: bool


class _WrongError(Exception):
    """What is wrong with an entry."""


class _LeftOutError(Exception):
    """Why the protocol leaves an entry out."""


@dataclass
class EntryReader:
    """Reads the entries of one file and notes the ones it cannot take.

    Attributes:
        category: id of the category that counts.
        categories: ids of all that the file has.
        pictures: by their ids; None for a picture that was itself left out.
        problems: where to note what is wrong.
        keypoint_count: K.
        truth: what the annotations say for the score, in their order.
    """

    category: int
    categories: frozenset[int]
    pictures: dict[int, Picture | None]
    problems: Problems
    keypoint_count: int
    truth: list[Truth] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)

    def annotation(self, entry: Any, place: int) -> Person | None:
        """The person of an entry of ``annotations``, the one at ``place``."""
        name = entry["id"] if isinstance(entry, dict) and "id" in entry else f"annotations[{place}]"
        return self._noting(name, lambda: self._annotation(entry))

    def detection(self, entry: Any, place: int) -> Person | None:
        """The person of a detection, the one at ``place``."""
        return self._noting(f"[{place}]", lambda: self._detection(entry, place))

    def _noting(self, name: object, read: Callable[[], Person]) -> Person | None:
        try:
            return read()
        except _WrongError as wrong:
            self.problems.add(str(wrong), name)
        except _LeftOutError as reason:
            self.problems.leave_out(str(reason))
        return None

    def _annotation(self, entry: Any) -> Person:
        if isinstance(entry, dict) and identity_of(entry.get("category_id")) not in self.categories:
            raise _WrongError("category id is not among the categories")
        image_id, picture = self._picture(entry)
        identity = identity_of(entry.get("id"))
        if identity is None:
            raise _WrongError("annotation without an id")
        if identity in self._seen:
            raise _WrongError("annotation id repeats")
        self._seen.add(identity)
        if entry.get("iscrowd") not in (None, 0, 1):  # the text "0" would count as true
            raise _WrongError("iscrowd is not 0 or 1")
        if entry.get("iscrowd"):
            self.truth.append(self._crowd(image_id, entry))
            raise _LeftOutError("crowd")
        area = _number(entry, "area")
        if area <= 0:
            raise _WrongError("area is not above 0")
        keypoints = self._keypoints(entry)
        given = _box(entry)
        try:
            box = given.clip(picture.height, picture.width)
        except ValueError as error:
            raise _WrongError("box lies outside its picture") from error
        self.truth.append(Truth(image_id, keypoints, given.xywh, area, crowd=False))
        if not keypoints[:, 2].any():
            raise _LeftOutError("person without a marked keypoint")
        if not picture.present:
            raise _LeftOutError("person of a picture whose file is missing, who counts as missed")
        return Person(image_id, identity, picture, box, keypoints, area)

    def _crowd(self, image_id: int, entry: dict[str, Any]) -> Truth:
        box = _box(entry)
        try:
            keypoints = self._keypoints(entry)
        except _WrongError:
            # Where nothing is marked, the score looks at the box.
            keypoints = np.zeros((self.keypoint_count, 3))
        area = float(entry["area"]) if is_number(entry.get("area")) else box.width * box.height
        return Truth(image_id, keypoints, box.xywh, area, crowd=True)

    def _detection(self, entry: Any, place: int) -> Person:
        image_id, picture = self._picture(entry)
        box = _box(entry)
        try:
            box.clip(picture.height, picture.width)
        except ValueError as error:
            raise _WrongError("box lies outside its picture") from error
        if not picture.present:
            raise _LeftOutError("detection in a picture whose file is missing")
        return Person(image_id, place, picture, box, None, box.width * box.height, _number(entry, "score"))

    def _picture(self, entry: Any) -> tuple[int, Picture]:
        if not isinstance(entry, dict):
            raise _WrongError("entry is not an object")
        if identity_of(entry.get("category_id")) != self.category:
            raise _LeftOutError(f"another category than {self.category}")
        identity = identity_of(entry.get("image_id"))
        if identity is None or identity not in self.pictures:
            raise _WrongError("picture id is not among the pictures")
        picture = self.pictures[identity]
        if picture is None:
            raise _LeftOutError("entry of a picture that is left out")
        return identity, picture

    def _keypoints(self, entry: dict[str, Any]) -> NDArray[np.float64]:
        values = _numbers(entry, "keypoints", 3 * self.keypoint_count)
        keypoints = np.array(values, dtype=np.float64).reshape(-1, 3)
        if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
            raise _WrongError("visibility of a keypoint is not 0, 1 or 2")
        if np.abs(keypoints[:, :2]).max() > FARTHEST:
            raise _WrongError(f"keypoint is more than {FARTHEST:,} pixels away")
        return keypoints


def _box(entry: dict[str, Any]) -> Box:
    x, y, width, height = _numbers(entry, "bbox", 4)
    try:
        box = Box(x, y, width, height)
    except ValueError as error:
        raise _WrongError("box has no area") from error
    if max(width, height) <= 1:
        raise _WrongError("box is within a pixel, as one in shares of the picture is")
    return box


def _number(entry: dict[str, Any], key: str) -> float:
    value = entry.get(key)
    if not is_number(value):
        raise _WrongError(f"{key} is not a finite number")
    return float(value)  # type: ignore[arg-type]


def _numbers(entry: dict[str, Any], key: str, count: int) -> list[float]:
    values = entry.get(key)
    if not isinstance(values, list) or len(values) != count:
        raise _WrongError(f"{key} is not a list of {count} numbers")
    if not all(is_number(value) for value in values):
        raise _WrongError(f"{key} has an entry that is no finite number")
    return values


def identity_of(value: object) -> int | None:
    """The id that is meant: a whole number that 64 bits hold, also written as text or as 7.0; None for others."""
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):  # to Python, JSON's true is a whole number
        return None
    return value if -(2**63) <= value < 2**63 else None
