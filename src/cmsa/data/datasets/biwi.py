"""BIWI Kinect head pose: ``hpdb/NN/frame_MMMMM_rgb.png`` (or ``.jpg``) beside ``frame_MMMMM_pose.txt``.

A pose file holds the head's rotation matrix (3 x 3) and the head's centre in millimetres, both in the frame of the
depth camera (x right, y down, z away). ``NN/rgb.cal`` describes the colour camera: intrinsics (3 x 3), four numbers of
distortion (all 0), then the rotation (3 x 3) and translation (mm) from the depth camera to it, and the picture's size.

Head pose is relative to the depth camera, as Hopenet and FSA-Net take it; the colour camera only places boxes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cmsa.data.datasets.faces import (
    Face,
    Faces,
    HeadPoseDataError,
    LeftOutError,
    WrongFaceError,
    as_samples,
    check_face,
)
from cmsa.data.problems import Problems
from cmsa.data.samples import Samples
from cmsa.geometry.face_margins import MarginName
from cmsa.geometry.rotations import matrix_to_euler
from cmsa.structures import Box

FACE_SIZE = 150.0
"""Side in millimetres of the square box put around a projected head centre: about a face from chin to brow and from ear
to ear. It is this library's choice; the protocols use a face detector."""

_FRAME = re.compile(r"(frame_\d+)_(rgb\.png|rgb\.jpe?g|pose\.txt)", re.IGNORECASE)
_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class ColorCamera:
    """The colour camera of a sequence.

    Attributes:
        intrinsics: (3, 3), in pixels.
        rotation: (3, 3), depth camera to colour camera.
        translation: (3,) in millimetres, depth camera to colour camera.
    """

    intrinsics: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> ColorCamera:
        """Read ``rgb.cal``.

        Raises:
            OSError: there is no such file.
            ValueError: it holds something else.
        """
        numbers = np.array(path.read_text(encoding="ascii").split(), dtype=np.float64)
        if len(numbers) < 25 or not np.isfinite(numbers).all():
            raise ValueError(f"{path}: must hold at least 25 finite numbers, got {len(numbers)}")
        return cls(numbers[:9].reshape(3, 3), numbers[13:22].reshape(3, 3), numbers[22:25])

    def face_box(self, center: NDArray[np.float64]) -> Box:
        """The box in the picture of a face at ``center`` (3,), millimetres in the frame of the depth camera.

        Raises:
            ValueError: the head is behind the camera.
        """
        point = self.intrinsics @ (self.rotation @ center + self.translation)
        if not point[2] > 0:
            raise ValueError(f"head centre {center.tolist()} lies behind the camera")
        x, y = (point[:2] / point[2]).tolist()
        side = FACE_SIZE * float(self.intrinsics[0, 0] / point[2])
        return Box(x - (side - 1) / 2, y - (side - 1) / 2, side, side)


def load_biwi(folder: str | Path, *, boxes: str | Path | None = None) -> Faces:
    """Read the faces of BIWI (15,678 frames in all).

    Args:
        folder: ``hpdb`` or the folder that holds it.
        boxes: a CSV file with the header ``frame,x,y,width,height``: frames like ``01/frame_00003`` and boxes in
            pixels of the colour picture. Frames without one are left out, as in the protocols that run a face
            detector. By default a box is put around the projected head centre.

    Raises:
        HeadPoseDataError: the folder or the boxes' file is missing or of another kind, or not one frame can be used.
    """
    folder = Path(folder)
    root = folder / "hpdb" if (folder / "hpdb").is_dir() else folder
    if not root.is_dir():
        raise HeadPoseDataError(f"{root}: there is no such folder")
    problems = Problems()
    given = None if boxes is None else _read_boxes(Path(boxes), problems)
    faces = []
    for sequence in sorted(path for path in root.iterdir() if path.is_dir()):
        camera = _camera(sequence, problems) if given is None else None
        for name, picture, pose in _frames(sequence, problems):
            try:
                faces.append(_face(name, picture, pose, camera, given))
            except WrongFaceError as wrong:
                problems.add(str(wrong), name)
            except LeftOutError as reason:
                problems.leave_out(str(reason))
    for name in sorted(given or {}):
        problems.add("box of a frame that is not there", name)
    if not faces:
        raise HeadPoseDataError(f"{root}: holds no usable pair NN/frame_*_rgb.png and NN/frame_*_pose.txt\n{problems}")
    return Faces(faces, "projected head centres" if boxes is None else str(boxes), problems)


def read_biwi(
    *, training: bool, images: Path, boxes: Path | None = None, margin: MarginName = "fsanet-biwi"
) -> Samples:
    """The reader of ``cmsa prepare --dataset biwi``, which has no parts: ``training`` makes no difference."""
    return as_samples(load_biwi(images, boxes=boxes), "biwi", margin)


def _frames(sequence: Path, problems: Problems) -> Iterator[tuple[str, Path, Path]]:
    """Name, picture and pose file of each frame."""
    pictures: dict[str, Path] = {}
    poses: dict[str, Path] = {}
    for path in sequence.iterdir():
        match = _FRAME.fullmatch(path.name)
        if match:
            is_pose = path.suffix.lower() == ".txt"
            (poses if is_pose else pictures)[f"{sequence.name}/{match[1].lower()}"] = path
    for name in sorted(pictures.keys() - poses.keys()):
        problems.add("picture without its pose.txt", name)
    for name in sorted(poses.keys() - pictures.keys()):
        problems.add("pose.txt without its picture", name)
    for name in sorted(pictures.keys() & poses.keys()):
        yield name, pictures[name], poses[name]


def _face(name: str, picture: Path, pose: Path, camera: ColorCamera | None, given: dict[str, Box] | None) -> Face:
    box = None if given is None else given.pop(name, None)
    rotation, center = _read_pose(pose)
    if given is not None and box is None:
        raise LeftOutError("frame without a box")
    if box is None:
        if camera is None:
            raise LeftOutError("frame of a sequence without calibration")
        try:
            box = camera.face_box(center)
        except ValueError as error:
            raise WrongFaceError("head centre lies behind the camera") from error
    return check_face(Face(name, picture, biwi_angles(rotation), box))


def biwi_angles(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees, 300W-LP convention, of the matrix (3, 3) in a pose file.

    BIWI's z axis points away from the camera, ours towards the viewer: turning it around on both sides gives our
    matrix. Its angles are those of Hopenet's formula on the transposed matrix.
    """
    turn = np.diag([1.0, 1.0, -1.0])
    yaw, pitch, roll = matrix_to_euler(torch.from_numpy(turn @ rotation @ turn)).tolist()
    return yaw, pitch, roll


def _read_pose(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        numbers = np.array(path.read_text(encoding="ascii").split(), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise WrongFaceError("pose.txt cannot be read") from error
    if len(numbers) != 12 or not np.isfinite(numbers).all():
        raise WrongFaceError("pose.txt does not hold 12 finite numbers")
    rotation = numbers[:9].reshape(3, 3)
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=_TOLERANCE) or np.linalg.det(rotation) < 0:
        raise WrongFaceError("matrix is not a rotation")
    return rotation, numbers[9:]


def _camera(sequence: Path, problems: Problems) -> ColorCamera | None:
    try:
        return ColorCamera.read(sequence / "rgb.cal")
    except (OSError, ValueError):
        if any(_FRAME.fullmatch(path.name) for path in sequence.iterdir()):
            problems.add("rgb.cal is missing or damaged", sequence.name)
        return None


def _read_boxes(path: Path, problems: Problems) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = ["frame", "x", "y", "width", "height"]
            if reader.fieldnames is None or not set(header) <= set(reader.fieldnames):
                raise HeadPoseDataError(f"{path}: its header must be {','.join(header)}, got {reader.fieldnames}")
            for row in reader:
                try:
                    boxes[row["frame"]] = Box(*(float(row[key]) for key in header[1:]))
                except (TypeError, ValueError):
                    problems.add("box is not four numbers with an area", row["frame"])
    except (OSError, UnicodeDecodeError) as error:
        raise HeadPoseDataError(f"{path}: cannot be read ({error})") from error
    return boxes
