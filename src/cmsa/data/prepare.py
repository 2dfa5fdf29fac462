"""A data set in its official layout -> a packed store of crops."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from cmsa.data.crops import CropSpec
from cmsa.data.datasets.biwi import load_biwi
from cmsa.data.datasets.coco import load_people, people_to_sources
from cmsa.data.datasets.faces import Faces, faces_to_sources
from cmsa.data.datasets.faces_300w_lp import load_300w_lp, load_aflw2000
from cmsa.data.problems import Problems
from cmsa.data.store import CropStore
from cmsa.data.store_writer import build_store
from cmsa.geometry.crops import BOX_PADDING, CropConvention
from cmsa.geometry.face_margins import MarginName

FaceSet = Literal["300w-lp", "aflw2000", "biwi"]

DEFAULT_MARGINS: dict[FaceSet, MarginName] = {"300w-lp": "fsanet", "aflw2000": "fsanet", "biwi": "fsanet-biwi"}
"""FSA-Net's, whose soft stage-wise regression is the paper's head."""

FACE_SCALE = 1.35
"""Room in a training store of faces for a region enlarged so much, or by 1.2 and shifted by 0.07 of its sides."""
FACE_ROTATION = 45.0
"""Degrees by which a stored face can be turned without missing corners."""


def prepare_people(
    annotations: Path,
    images: Path,
    out: Path,
    *,
    size: tuple[int, int],
    training: bool,
    detections: Path | None = None,
    density: float = 1.5,
    convention: CropConvention = "pixel",
    antialias: bool = True,
    workers: int = 0,
    progress: bool = True,
) -> CropStore:
    """Cut the people of a COCO keypoint data set.

    Args:
        annotations: ``person_keypoints_*.json``.
        images: folder of the pictures.
        out: the store's folder.
        size: (H, W) of the network's input.
        training: leave a margin for the strongest augmentation; otherwise cut exactly what is evaluated.
        detections: COCO detection results whose boxes replace the annotated ones.
        density: stored pixels per input pixel, for training.
        convention: of the crop, see ``crop_affine``.
        antialias: area-averaged crops; False for the reference codes' bilinear warp.
        workers: threads that decode pictures.
        progress: show a progress bar.

    Raises:
        CocoError: the annotations cannot be used at all; what is merely wrong is listed and left out.
    """
    people = load_people(annotations, images, detections=detections)
    if progress:
        _show(people.problems)
    if training:
        spec = CropSpec.for_training(
            size, density=density, padding=BOX_PADDING, convention=convention, antialias=antialias
        )
    else:
        spec = CropSpec.for_evaluation(size, padding=BOX_PADDING, convention=convention, antialias=antialias)
    meta = {"task": "pose", "annotations": str(annotations.resolve()), "box_source": people.box_source}
    return build_store(out, people_to_sources(people, spec), spec, meta=meta, workers=workers, progress=progress)


def prepare_faces(
    kind: FaceSet,
    folder: Path,
    out: Path,
    *,
    size: tuple[int, int],
    training: bool,
    margin: MarginName | None = None,
    flips: bool = True,
    boxes: Path | None = None,
    density: float = 1.5,
    antialias: bool = True,
    workers: int = 0,
    progress: bool = True,
) -> CropStore:
    """Cut the faces of 300W-LP, AFLW2000, BIWI, or of a set of the same layout.

    Args:
        kind: the layout.
        folder: the unpacked archive.
        out: the store's folder.
        size: (H, W) of the network's input.
        training: leave a margin for the strongest augmentation; otherwise cut exactly what is evaluated.
        margin: how far the crop reaches beyond the face's box, see ``FACE_MARGINS``; by default FSA-Net's.
        flips: of 300W-LP, also take the ``*_Flip`` folders.
        boxes: of BIWI, a CSV file of face boxes, see ``load_biwi``.
        density: stored pixels per input pixel, for training.
        antialias: area-averaged crops; False for a bilinear warp.
        workers: threads that decode pictures.
        progress: show a progress bar.

    Raises:
        HeadPoseDataError: not one face can be used; what is merely wrong is listed and left out.
        ValueError: there is no such layout or margin.
    """
    if kind not in get_args(FaceSet):
        raise ValueError(f"no layout of faces {kind!r}; there are {', '.join(get_args(FaceSet))}")
    faces = _load_faces(kind, folder, flips, boxes)
    if progress:
        _show(faces.problems)
    if training:
        spec = CropSpec.for_training(size, FACE_SCALE, FACE_ROTATION, density, padding=1.0, antialias=antialias)
    else:
        spec = CropSpec.for_evaluation(size, padding=1.0, antialias=antialias)
    chosen = margin or DEFAULT_MARGINS[kind]
    meta = {"task": "head_pose", "data": kind, "box_source": faces.box_source, "margin": chosen}
    return build_store(out, faces_to_sources(faces, spec, chosen), spec, meta=meta, workers=workers, progress=progress)


def _load_faces(kind: FaceSet, folder: Path, flips: bool, boxes: Path | None) -> Faces:
    if kind == "biwi":
        return load_biwi(folder, boxes=boxes)
    if boxes is not None:
        raise ValueError(f"boxes from a file are for biwi; those of {kind} are the extent of its landmarks")
    return load_aflw2000(folder) if kind == "aflw2000" else load_300w_lp(folder, flips=flips)


def _show(problems: Problems) -> None:
    if problems.rows():
        from rich import print as show

        show(problems)
