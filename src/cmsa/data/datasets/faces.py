"""Faces with known head pose, whatever data set they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cmsa.data.image import ImageError, picture_size
from cmsa.data.problems import Problems
from cmsa.data.samples import Sample, Samples
from cmsa.geometry.face_margins import MarginName, face_margin
from cmsa.geometry.rotations import LARGEST_ANGLE
from cmsa.structures import Box


class HeadPoseDataError(ValueError):
    """A folder or a file is not of the expected kind, or nothing in it can be used; the message names it."""


@dataclass(frozen=True)
class Face:
    """One face of a picture.

    Attributes:
        name: sub-folder and name, the same on every machine.
        file: the picture.
        angles: yaw, pitch, roll in degrees, 300W-LP convention (``cmsa.geometry.rotations``).
        box: in pixels of the picture, without margin.
    """

    name: str
    file: Path
    angles: tuple[float, float, float]
    box: Box


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of a data set.

    Attributes:
        faces: sorted by name.
        box_source: where the boxes come from; a result must say it, as it must say how many faces there are.
        problems: what was left out, and why.
    """

    faces: list[Face]
    box_source: str
    problems: Problems = field(default_factory=Problems)

    def __len__(self) -> int:
        return len(self.faces)

    def __str__(self) -> str:
        return f"{len(self):,} faces, boxes from {self.box_source}\n{self.problems}"


class WrongFaceError(Exception):
    """What is wrong with one face."""


class LeftOutError(Exception):
    """Why the protocol leaves one face out."""


def check_face(face: Face) -> Face:
    """The same face.

    Raises:
        WrongFaceError: an angle is not finite, the picture is not one, or the box lies outside of it.
        LeftOutError: an angle is beyond ±99°.
    """
    if not np.isfinite(face.angles).all():
        raise WrongFaceError("angle is not finite")
    if max(abs(angle) for angle in face.angles) > LARGEST_ANGLE:
        raise LeftOutError(f"angle beyond ±{LARGEST_ANGLE:g}°")
    try:
        height, width = picture_size(face.file, apply_exif=False)
    except ImageError as error:
        raise WrongFaceError("picture cannot be read") from error
    try:
        face.box.clip(height, width)
    except ValueError as error:
        raise WrongFaceError("face box lies outside its picture") from error
    return face


def face_samples(faces: Faces, margin: MarginName) -> Iterator[Sample]:
    """One for each face; its region is the face's box widened by ``margin``.

    The store extends the region's shorter side to the aspect of the network's input, so that faces are never
    stretched. Labels: ``angles`` (3,) float32 yaw, pitch, roll in degrees; ``box`` (4,) float64 xywh without margin.

    Raises:
        ValueError: there is no such margin.
    """
    widths = face_margin(margin)
    for face in faces.faces:
        labels = {"angles": np.array(face.angles, dtype=np.float32), "box": np.array(face.box.xywh)}
        yield Sample(face.file, labels, region=widths.widen(face.box))


def as_samples(faces: Faces, data: str, margin: MarginName) -> Samples:
    """Faces with what their store must note; the margin is checked before anything is cut."""
    face_margin(margin)
    meta = {"data": data, "box_source": faces.box_source, "margin": margin}
    return Samples(face_samples(faces, margin), meta, problems=faces.problems)
