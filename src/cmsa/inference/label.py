"""Photos -> COCO keypoint annotations, labelled by pose networks: training data for a small model of one's own.

An engineer has footage of high resolution and wants a model of low resolution; teachers label the footage once. With
two teachers a keypoint counts where they agree, which is what keeps their mistakes out: on 59 people of COCO the mean
error of agreed keypoints was 0.03 of the box's side, about what a careful annotator gives.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cmsa.data.boxes import DetectionFile, usable_boxes
from cmsa.data.crops import CropSpec, cut_crop
from cmsa.data.datasets.coco_entries import FARTHEST
from cmsa.data.image import ImageError, read_image
from cmsa.files.read_json import is_number
from cmsa.files.write_json import write_json
from cmsa.geometry.affine import apply_affine, invert_affine
from cmsa.geometry.crops import region_center
from cmsa.structures import COCO, Box, FloatArray, KeypointSet
from cmsa.structures.keypoints import AREA_OF_BOX


class Teacher(Protocol):
    """A pose network that labels: crops (B, H, W, 3) uint8 RGB -> keypoints (B, K, 2) in their pixels and scores."""

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W) of the crops it wants."""

    def __call__(
        self, crops: NDArray[np.uint8], flip_index: Sequence[int] | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Keypoints and scores; averaged with the mirrored crops where ``flip_index`` is given."""


@dataclass(frozen=True)
class LabelRule:
    """Which keypoints count.

    Attributes:
        thresholds: least score of each teacher; the last one stands for those that follow.
        agreement: how far the second teacher's keypoint may lie from the first's, in square roots of the box's area.
        least: a person with fewer keypoints is left out.
        flip_test: average each teacher with the mirrored crop.
    """

    thresholds: tuple[float, ...] = (0.35, 0.25)
    agreement: float = 0.08
    least: int = 1
    flip_test: bool = True

    def __post_init__(self) -> None:
        if not self.thresholds or not all(0 <= value < 1 for value in self.thresholds):
            raise ValueError(f"label thresholds must lie in 0..1, got {self.thresholds}")
        if not self.agreement > 0:
            raise ValueError(f"agreement must be positive, got {self.agreement}")
        if self.least < 1:
            raise ValueError(f"the least number of keypoints must be 1 or more, got {self.least}")


@dataclass
class Labels:
    """Annotations, and what was left out.

    Attributes:
        content: COCO keypoint annotations, ready for JSON; each annotation also has ``confidence``, K geometric means
            of the teachers' scores.
        left_out: what was left out, and why.
    """

    content: dict[str, Any]
    left_out: list[tuple[str, str]] = field(default_factory=list)


def label_photos(
    photos: Iterable[Path],
    boxes: DetectionFile,
    teachers: Sequence[Teacher],
    rule: LabelRule | None = None,
    *,
    root: Path | None = None,
    keypoint_set: KeypointSet = COCO,
) -> Labels:
    """Label the people of photos.

    Args:
        photos: files; one that cannot be read is left out and named.
        boxes: where the people are; ``boxes.find(photo)`` is asked for each photo.
        teachers: one or two pose networks, the better one first.
        rule: which keypoints count.
        root: what ``file_name`` is relative to; by default the photo's own folder.
        keypoint_set: what the teachers' keypoints are.

    Returns:
        A keypoint with v=2 is labelled, at the mean of the teachers' positions weighted by their scores; one with v=0
        is not, which does not mean that it cannot be seen.

    Raises:
        ValueError: there is no teacher or more than two, or one puts out another number of keypoints.
    """
    if not 1 <= len(teachers) <= 2:
        raise ValueError(f"labelling takes one or two teachers, got {len(teachers)}")
    rule = rule or LabelRule()
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(keypoint_set.names),
        "skeleton": [[first + 1, second + 1] for first, second in keypoint_set.skeleton],
    }
    labels = Labels({"images": [], "annotations": [], "categories": [category]})
    for photo in photos:
        found = boxes.find(photo)
        try:
            picture = read_image(photo, apply_exif=False)
        except ImageError as error:
            labels.left_out.append((str(photo), str(error)))
            continue
        height, width = picture.shape[:2]
        usable, reasons = usable_boxes([] if found is None else found.boxes, height, width)
        labels.left_out += [(f"{photo}, box {index}", reason) for index, reason in reasons.items()]
        if not usable:
            labels.left_out.append((str(photo), "no person in it"))
            continue
        image_id = len(labels.content["images"]) + 1
        name = photo.relative_to(root).as_posix() if root else photo.name
        labels.content["images"].append({"id": image_id, "file_name": name, "width": width, "height": height})
        for index, box in usable.items():
            keypoints, marked, confidence = label_person(picture, box, teachers, rule, keypoint_set)
            if marked.sum() < rule.least:
                labels.left_out.append(
                    (f"{photo}, box {index}", f"{marked.sum()} keypoints, {rule.least} are asked for")
                )
                continue
            triples = np.concatenate([np.where(marked[:, None], keypoints, 0), 2 * marked[:, None]], axis=1)
            labels.content["annotations"].append(
                {
                    "id": len(labels.content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [round(value, 2) for value in box.xywh],
                    "area": round(AREA_OF_BOX * box.width * box.height, 2),
                    "num_keypoints": int(marked.sum()),
                    "keypoints": [round(float(value), 2) for value in triples.ravel()],
                    "confidence": [round(float(value), 3) for value in confidence],
                }
            )
    return labels


def fill_labels(
    annotations: Mapping[str, Any],
    root: Path,
    teachers: Sequence[Teacher],
    rule: LabelRule | None = None,
    *,
    keypoint_set: KeypointSet = COCO,
    advance: Callable[[], None] = lambda: None,
) -> Labels:
    """Give the unlabelled keypoints of annotated people a place; what is labelled stays as it is.

    A keypoint that an annotator left out (v=0) carries no loss, though the teacher may know where it is. Crowds and
    people without one labelled keypoint are left alone.

    Args:
        annotations: COCO keypoint annotations.
        root: folder of the pictures.
        teachers: one or two pose networks, the better one first.
        rule: which keypoints count; ``least`` means nothing here.
        keypoint_set: what the keypoints are.
        advance: called after each picture, for a progress bar.

    Returns:
        The annotations with the filled-in keypoints as v=1, and pictures that could not be read.

    Raises:
        ValueError: as ``label_photos``; or a person has another number of keypoints than the set.
    """
    if not 1 <= len(teachers) <= 2:
        raise ValueError(f"labelling takes one or two teachers, got {len(teachers)}")
    for key in ("images", "annotations"):
        if not isinstance(annotations.get(key), list):
            raise ValueError(f"annotations: {key!r} must be a list, got {type(annotations.get(key)).__name__}")
    rule = rule or LabelRule()
    content = copy.deepcopy(dict(annotations))
    labels = Labels(content)
    people: dict[Any, list[dict[str, Any]]] = {}
    for place, person in enumerate(content["annotations"]):
        if not _is_person(person):
            labels.left_out.append((f"annotations[{place}]", "has no image_id, or no list of numbers as keypoints"))
        elif not person.get("iscrowd") and any(value > 0 for value in person.get("keypoints", [])[2::3]):
            people.setdefault(person["image_id"], []).append(person)
    for place, image in enumerate(content["images"]):
        advance()
        if not (isinstance(image, dict) and _is_id(image.get("id")) and isinstance(image.get("file_name"), str)):
            labels.left_out.append((f"images[{place}]", "has no id or no file_name"))
            continue
        if image["id"] not in people:
            continue
        try:
            picture = read_image(root / image["file_name"], apply_exif=False)
        except ImageError as error:
            labels.left_out.append((image["file_name"], str(error)))
            continue
        for person in people[image["id"]]:
            if len(person["keypoints"]) != 3 * len(keypoint_set):
                raise ValueError(
                    f"person {person.get('id')} of {image['file_name']}: {len(person['keypoints'])} keypoint numbers, "
                    f"expected {3 * len(keypoint_set)}"
                )
            wrong = _fill_person(person, picture, teachers, rule, keypoint_set)
            labels.left_out += [(f"{image['file_name']}, person {person.get('id')}", why) for why in wrong]
    return labels


def _fill_person(
    person: dict[str, Any],
    picture: NDArray[np.uint8],
    teachers: Sequence[Teacher],
    rule: LabelRule,
    keypoint_set: KeypointSet,
) -> list[str]:
    """Give the unlabelled keypoints of a person a place, in the annotation itself; gives what is wrong with its box."""
    rows = np.array(person["keypoints"], dtype=np.float64).reshape(-1, 3)
    usable, reasons = usable_boxes([person.get("bbox")], *picture.shape[:2])
    if usable and not (rows[:, 2] > 0).all():
        places, marked, _ = label_person(picture, usable[0], teachers, rule, keypoint_set)
        filled = marked & (rows[:, 2] == 0)
        rows[filled] = np.concatenate([places[filled].round(2), np.ones((filled.sum(), 1))], axis=1)
        person["keypoints"] = rows.ravel().tolist()
        person["num_keypoints"] = int((rows[:, 2] > 0).sum())
        person["filled"] = np.flatnonzero(filled).tolist()
    return list(reasons.values())


def _is_person(entry: Any) -> bool:
    """Whether an entry of a file says where somebody's keypoints are; it may be without them."""
    if not (isinstance(entry, dict) and _is_id(entry.get("image_id"))):
        return False
    values = entry.get("keypoints", [])
    return isinstance(values, list) and all(is_number(value) and abs(value) < FARTHEST for value in values)


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def label_person(
    picture: NDArray[np.uint8],
    box: Box,
    teachers: Sequence[Teacher],
    rule: LabelRule,
    keypoint_set: KeypointSet = COCO,
) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    """Keypoints (K, 2) in the picture, which of them count (K,), and the teachers' confidence (K,).

    None counts that lies outside of the picture.

    Raises:
        ValueError: a teacher puts out another number of keypoints than the set has, or what is not finite.
    """
    places, scores = [], []
    for teacher in teachers:
        spec = CropSpec.for_evaluation(teacher.input_size)
        matrix = spec.base_matrix(region_center(box, spec.convention), (box.width, box.height))
        crop = cut_crop(picture, matrix, spec.size)
        xy, score = teacher(crop[None], keypoint_set.flip_index if rule.flip_test else None)
        if xy.shape[1] != len(keypoint_set):
            raise ValueError(f"a teacher puts out {xy.shape[1]} keypoints, the set has {len(keypoint_set)}")
        if not (np.isfinite(xy).all() and np.isfinite(score).all()):
            raise ValueError("what a teacher says is not finite: its weights or its file are damaged")
        places.append(apply_affine(invert_affine(matrix), xy[0]))
        scores.append(np.clip(score[0], 0, None))
    thresholds = [rule.thresholds[min(number, len(rule.thresholds) - 1)] for number in range(len(teachers))]
    marked = np.logical_and.reduce([score > least for score, least in zip(scores, thresholds, strict=True)])
    if len(teachers) == 2:
        distance = np.linalg.norm(places[0] - places[1], axis=1)
        marked &= distance <= rule.agreement * np.sqrt(box.width * box.height)
    weight = np.stack(scores)
    total = np.maximum(weight.sum(axis=0), 1e-9)
    position: FloatArray = (np.stack(places) * weight[..., None]).sum(axis=0) / total[:, None]
    # A crop reaches beyond the picture, and so may a teacher's guess; a label does not.
    height, width = picture.shape[:2]
    marked &= ((position >= 0) & (position <= (width - 1, height - 1))).all(axis=1)
    confidence: FloatArray = np.prod(weight, axis=0) ** (1 / len(teachers))
    return position, marked, confidence


def write_labels(labels: Labels, out: Path) -> None:
    """Write the annotations as JSON; the file appears whole or not at all."""
    write_json(out, labels.content)
