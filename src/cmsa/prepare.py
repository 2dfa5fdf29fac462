"""A data set in its official layout -> a packed store of crops."""

from __future__ import annotations

from pathlib import Path

from cmsa.data.coco import load_people, people_to_sources
from cmsa.data.crops import CropSpec
from cmsa.data.prepare import build_store
from cmsa.data.store import CropStore
from cmsa.geometry import BOX_PADDING, CropConvention


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
    if progress and (people.problems.wrong or people.problems.left_out):
        from rich import print as show

        show(people.problems)
    if training:
        spec = CropSpec.for_training(
            size, density=density, padding=BOX_PADDING, convention=convention, antialias=antialias
        )
    else:
        spec = CropSpec.for_evaluation(size, padding=BOX_PADDING, convention=convention, antialias=antialias)
    meta = {"task": "pose", "annotations": str(annotations.resolve()), "box_source": people.box_source}
    return build_store(out, people_to_sources(people, spec), spec, meta=meta, workers=workers, progress=progress)
