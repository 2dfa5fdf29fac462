"""Faces with known head pose, whatever data set they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from cmsa.data.crops import CropSpec
from cmsa.data.problems import Problems
from cmsa.data.store_writer import CropSource
from cmsa.geometry.crops import region_center
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
        with Image.open(face.file) as picture:
            width, height = picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise WrongFaceError("picture cannot be read") from error
    try:
        face.box.clip(height, width)
    except ValueError as error:
        raise WrongFaceError("face box lies outside its picture") from error
    return face


def faces_to_sources(faces: Faces, spec: CropSpec, margin: MarginName) -> list[CropSource]:
    """One source for each face, ready for ``cmsa.data.store_writer.build_store``.

    The region is the face's box widened by ``margin``; the store extends its shorter side to the aspect of the
    network's input, so that faces are never stretched. Labels: ``angles`` (1, 3) float32 yaw, pitch, roll in degrees;
    ``box`` (1, 4) float64 xywh without margin.

    Raises:
        ValueError: there is no such margin, or ``spec`` pads the region once more.
    """
    if spec.padding != 1:
        raise ValueError(f"CropSpec.padding must be 1 for faces, got {spec.padding:g}: {margin!r} is the only margin")
    widths = face_margin(margin)
    sources = []
    for face in faces.faces:
        region = widths.widen(face.box)
        sources.append(
            CropSource(
                image=face.file,
                centers=np.array([region_center(region, spec.convention)]),
                extents=np.array([(region.width, region.height)]),
                labels={"angles": np.array([face.angles], dtype=np.float32), "box": np.array([face.box.xywh])},
            )
        )
    return sources
