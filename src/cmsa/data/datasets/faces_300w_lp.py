"""300W-LP and AFLW2000: a picture ``NAME.jpg`` beside ``NAME.mat``, in sub-folders or not, pairs found by scanning.

Each ``.mat`` holds ``Pose_Para``, whose first three numbers are pitch, yaw and roll in radians, and ``pt2d`` (2, N),
landmarks in pixels of which -1 marks a missing one. A face's box is the extent of its landmarks. Nothing that is wrong
with a single pair stops the reading: it is left out, counted and listed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
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
from cmsa.data.datasets.mat_tags import check_tags
from cmsa.data.problems import Problems
from cmsa.data.samples import Samples
from cmsa.geometry.face_margins import MarginName
from cmsa.structures import Box

# Both archives carry folders of .mat files that belong to no picture.
_OTHER_FOLDERS = {"code", "landmarks"}
_MISSING_LANDMARK = -1.0


def load_300w_lp(folder: str | Path, *, flips: bool = True) -> Faces:
    """Read the faces of 300W-LP (122,450; 61,225 without the mirrored ones), AFLW2000 or a set of the same layout.

    Args:
        folder: the unpacked archive, any folder above the pictures.
        flips: also read sub-folders named ``*_Flip``, whose labels are mirrored like their pictures.

    Returns:
        The faces with every angle within ±99°.

    Raises:
        HeadPoseDataError: the folder does not exist, or not one face in it can be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HeadPoseDataError(f"{folder}: there is no such folder")
    problems = Problems()
    faces = []
    for name, picture, annotation in _pairs(folder, flips, problems):
        try:
            angles, box = _read_annotation(annotation)
            faces.append(check_face(Face(name, picture, angles, box)))
        except WrongFaceError as wrong:
            problems.add(str(wrong), name)
        except LeftOutError as reason:
            problems.leave_out(str(reason))
    if not faces:
        raise HeadPoseDataError(f"{folder}: holds no usable pair of NAME.jpg and NAME.mat\n{problems}")
    return Faces(faces, "landmarks", problems)


def load_aflw2000(folder: str | Path) -> Faces:
    """Read the faces of AFLW2000: 1,969 of its 2,000 have every angle within ±99°. See ``load_300w_lp``."""
    return load_300w_lp(folder)


def read_300w_lp(
    *, training: bool, images: Path, flips: bool = True, margin: MarginName = "fsanet", data: str = "300w-lp"
) -> Samples:
    """The reader of ``cmsa prepare --dataset 300w-lp`` and ``aflw2000``, which have no parts: ``training`` is idle."""
    return as_samples(load_300w_lp(images, flips=flips), data, margin)


def _pairs(folder: Path, flips: bool, problems: Problems) -> list[tuple[str, Path, Path]]:
    """Name, picture and annotation of each pair, sorted by name."""
    pictures: dict[str, Path] = {}
    annotations: dict[str, Path] = {}
    for root, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if _is_wanted(name, flips)]
        for file in files:
            path = Path(root, file)
            name = path.relative_to(folder).with_suffix("").as_posix()
            if path.suffix.lower() in (".jpg", ".jpeg"):
                pictures[name] = path
            elif path.suffix.lower() == ".mat":
                annotations[name] = path
    for name in sorted(pictures.keys() - annotations.keys()):
        problems.add("picture without its .mat", name)
    for name in sorted(annotations.keys() - pictures.keys()):
        problems.add(".mat without its picture", name)
    return [(name, pictures[name], annotations[name]) for name in sorted(pictures.keys() & annotations.keys())]


def _is_wanted(subfolder: str, flips: bool) -> bool:
    name = subfolder.lower()
    return name not in _OTHER_FOLDERS and not name.startswith(".") and (flips or not name.endswith("_flip"))


def _read_annotation(path: Path) -> tuple[tuple[float, float, float], Box]:
    from scipy.io import loadmat

    try:
        check_tags(path.read_bytes())
        content: dict[str, Any] = loadmat(path, variable_names=("Pose_Para", "pt2d"))
    except Exception as error:  # damaged files raise whatever the parser happens to trip over
        raise WrongFaceError(".mat cannot be read") from error
    pose = _numbers(content, "Pose_Para").flatten()
    if len(pose) < 3:
        raise WrongFaceError("Pose_Para has fewer than 3 numbers")
    pitch, yaw, roll = np.degrees(pose[:3]).tolist()
    return (yaw, pitch, roll), _landmark_box(_numbers(content, "pt2d"))


def _numbers(content: dict[str, Any], key: str) -> NDArray[np.float64]:
    if key not in content:
        raise WrongFaceError(f".mat without {key}")
    values = np.asarray(content[key])
    if values.dtype.kind not in "fiu":
        raise WrongFaceError(f"{key} is not numbers")
    return values.astype(np.float64)


def _landmark_box(landmarks: NDArray[np.float64]) -> Box:
    if landmarks.ndim != 2 or landmarks.shape[0] != 2:
        raise WrongFaceError("pt2d is not 2 x N")
    present = landmarks[:, (np.isfinite(landmarks) & (landmarks != _MISSING_LANDMARK)).all(axis=0)]
    if present.shape[1] < 2 or (np.ptp(present, axis=1) <= 0).any():
        raise WrongFaceError("landmarks span no area")
    left, top = present.min(axis=1).tolist()
    right, bottom = present.max(axis=1).tolist()
    try:
        return Box(left, top, right - left, bottom - top)
    except ValueError as error:  # numbers whose difference is beyond what floats hold
        raise WrongFaceError("landmarks span no area") from error
