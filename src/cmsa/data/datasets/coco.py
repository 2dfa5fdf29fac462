"""People, or whatever has keypoints, of a COCO data set: annotations or detections -> samples, and what is wrong.

Layout: one JSON file (``person_keypoints_*.json``) and one folder of pictures. Nothing that is wrong with a single
entry stops the reading: it is left out, counted and listed. Only a file that is not of this kind is an error. The same
reading decides which people are cut and which the average precision counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cmsa.data.datasets.coco_entries import EntryReader, Person, Picture, Truth, identity_of
from cmsa.data.problems import Problems
from cmsa.data.samples import Sample, Samples
from cmsa.files.read_json import JsonError, read_json
from cmsa.guidance.counts import count_of
from cmsa.structures import COCO, KeypointSet, KeypointSetError, keypoint_set

BoxSource = Literal["ground truth", "detections"]
LONGEST_SIDE = 1_000_000
"""Pixels; a longer side of a picture is a mistake."""


class CocoError(ValueError):
    """A file is missing, not JSON, or not a COCO file; the message names the file and the key."""


@dataclass(frozen=True, eq=False)
class CocoPeople:
    """The people of a data set.

    Attributes:
        people: in the order of the file.
        box_source: where the boxes come from; detected ones cost about 2 AP, so a result must say it.
        keypoint_set: what the keypoints mean.
        problems: what was left out, and why.
        truth: what the average precision counts, see ``truth_arrays``; empty where the file has no annotations.
    """

    people: list[Person]
    box_source: BoxSource
    keypoint_set: KeypointSet = COCO
    problems: Problems = field(default_factory=Problems)
    truth: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.people)

    def samples(self) -> Iterator[Sample]:
        """One for each person.

        Labels: ``keypoints`` (K, 3) float32 x, y in pixels of the picture and v, zeros for detections; ``box`` (4,)
        float64 xywh; ``area`` and ``score`` float64; ``image_id`` and ``annotation_id`` int64.
        """
        unmarked = np.zeros((len(self.keypoint_set), 3))
        for person in self.people:
            yield Sample(
                person.picture.file,
                {
                    "keypoints": (unmarked if person.keypoints is None else person.keypoints).astype(np.float32),
                    "box": np.array(person.box.xywh),
                    "area": np.float64(person.area),
                    "score": np.float64(person.score),
                    "image_id": np.int64(person.image_id),
                    "annotation_id": np.int64(person.annotation_id),
                },
                region=person.box,
                size=(person.picture.height, person.picture.width),
            )


def read_coco(
    *,
    training: bool,
    annotations: Path,
    images: Path,
    detections: Path | None = None,
    category: str | None = None,
    keypoints: Path | None = None,
) -> Samples:
    """The reader of ``cmsa prepare --dataset coco``; errors are those of ``load_people``.

    Args:
        training: makes no difference: each part has an annotation file of its own.
        annotations: see ``load_people``.
        images: see ``load_people``.
        detections: see ``load_people``.
        category: see ``load_people``.
        keypoints: a JSON file of what is known better than the annotation file, see ``keypoint_set``.
    """
    changes = None if keypoints is None else _read_json(keypoints)
    if not isinstance(changes, dict | None):
        raise CocoError(f"{keypoints}: must hold an object with entries like 'flip_pairs' or 'sigmas'")
    people = load_people(annotations, images, detections=detections, category=category, changes=changes)
    status = annotations.stat()
    meta = {
        "annotations": str(annotations.resolve()),
        "annotations_bytes": status.st_size,
        "annotations_changed": datetime.fromtimestamp(status.st_mtime, UTC).isoformat(),
        "box_source": people.box_source,
        "keypoints": people.keypoint_set.to_json(),
    }
    return Samples(people.samples(), meta, people.truth, people.problems)


def load_people(
    annotations: str | Path,
    images: str | Path,
    *,
    detections: str | Path | None = None,
    category: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> CocoPeople:
    """Read the people of a COCO data set.

    Of the annotations, those without area, crowds and those without a marked keypoint are left out, and boxes are
    clipped to their picture (HRNet ``lib/dataset/coco.py``). Detections are all kept, as they are.

    Args:
        annotations: the annotation file; with ``detections``, its annotations are only used for the score.
        images: the folder of its pictures.
        detections: a COCO result file, a list of ``{image_id, category_id, bbox, score}``.
        category: name of the category to take, where several have keypoints.
        changes: what is known better of the keypoints than the file tells, see ``keypoint_set``.

    Raises:
        CocoError: a file is missing, not JSON or not of this kind, it has no category with keypoints or several, or
            the folder holds none of the pictures.
    """
    annotations, images = Path(annotations), Path(images)
    content = _read_annotations(annotations)
    problems = Problems()
    chosen = _keypoint_set(annotations, content, category, changes or {})
    pictures = _pictures(annotations, content, images, problems)
    reader = EntryReader(chosen.category_id, _category_ids(content), pictures, problems, len(chosen))
    if detections is None:
        entries = _list(annotations, content, "annotations")
        people = [person for place, entry in enumerate(entries) if (person := reader.annotation(entry, place))]
        return CocoPeople(people, "ground truth", chosen, problems, truth_arrays(reader, len(chosen)))
    found = _read_json(Path(detections))
    if not isinstance(found, list):
        raise CocoError(f"{detections}: must hold a list of detections")
    people = [person for place, entry in enumerate(found) if (person := reader.detection(entry, place))]
    truth: Mapping[str, NDArray[Any]] = {}
    if "annotations" in content:
        # What these leave out is of no concern to the detections; what is wrong with them is.
        reader.problems = Problems(problems.wrong)
        for place, entry in enumerate(_list(annotations, content, "annotations")):
            reader.annotation(entry, place)
        truth = truth_arrays(reader, len(chosen))
    return CocoPeople(people, "detections", chosen, problems, truth)


def load_truth(annotations: str | Path | Mapping[str, Any], *, category: str | None = None) -> dict[str, Any]:
    """What the average precision counts of an annotation file, or of its content, without a look at the pictures.

    What ``truth_arrays`` returns, and ``keypoint_set``; errors are those of ``load_people``.
    """
    where = Path("annotations") if isinstance(annotations, Mapping) else Path(annotations)
    content = dict(annotations) if isinstance(annotations, Mapping) else _read_annotations(where)
    chosen = _keypoint_set(where, content, category, {})
    pictures = _pictures(where, content, None, Problems())
    reader = EntryReader(chosen.category_id, _category_ids(content), pictures, Problems(), len(chosen))
    for place, entry in enumerate(_list(where, content, "annotations")):
        reader.annotation(entry, place)
    return truth_arrays(reader, len(chosen)) | {"keypoint_set": chosen}


def truth_arrays(reader: EntryReader, keypoint_count: int) -> dict[str, NDArray[Any]]:
    """What the annotations say, for the score.

    Returns:
        For M annotations, crowds among them, ``image_id`` (M,) int64, ``keypoints`` (M, K, 3) float64 x, y, v,
        ``box`` (M, 4) float64 xywh, ``area`` (M,) float64 and ``crowd`` (M,) bool; and ``pictures`` (P,) int64, the
        ids of all pictures, also of those without anybody.
    """
    truth: list[Truth] = reader.truth
    return {
        "image_id": np.array([entry.image_id for entry in truth], np.int64),
        "keypoints": np.array([entry.keypoints for entry in truth], np.float64).reshape(-1, keypoint_count, 3),
        "box": np.array([entry.box for entry in truth], np.float64).reshape(-1, 4),
        "area": np.array([entry.area for entry in truth], np.float64),
        "crowd": np.array([entry.crowd for entry in truth], bool),
        "pictures": np.array([identity for identity, picture in reader.pictures.items() if picture], np.int64),
    }


def _keypoint_set(
    path: Path, content: Mapping[str, Any], category: str | None, changes: Mapping[str, Any]
) -> KeypointSet:
    """The keypoints of the one category that has any, or of the one that is asked for."""
    entries = _list(path, content, "categories")
    objects = [entry | {"id": identity_of(entry.get("id"))} for entry in entries if isinstance(entry, dict)]
    named = [entry for entry in objects if entry["id"] is not None]
    marked = [entry for entry in named if entry.get("keypoints")]
    # The file that lists the test pictures names the categories only.
    suitable = marked or [entry for entry in named if entry.get("name") == "person"]
    if category is not None:
        suitable = [entry for entry in suitable if str(entry.get("name")) == category]
    names = [str(entry.get("name")) for entry in marked or named]
    if not suitable:
        wanted = "with keypoints" if category is None else f"named {category!r} with keypoints"
        raise CocoError(f"{path}: 'categories' has no entry {wanted}, found {', '.join(names) or 'none'}")
    if len(suitable) > 1:
        alike = [entry for entry in suitable if entry.get("name") == suitable[0].get("name")]
        if len(alike) == len(suitable):
            ids = " and ".join(str(entry["id"]) for entry in alike)
            raise CocoError(
                f"{path}: the categories with the ids {ids} have one name, {alike[0].get('name')!r}, so that none can "
                "be chosen: give them different names in the file, or one id to both and to their annotations"
            )
        raise CocoError(
            f"{path}: {len(suitable)} categories have keypoints, choose one with --category: {', '.join(names)}"
        )
    entry = suitable[0]
    name = str(entry.get("name", "person"))
    points = entry.get("keypoints") or list(COCO.names)
    if not isinstance(points, list) or not all(isinstance(point, str) for point in points):
        raise CocoError(f"{path}: 'keypoints' of category {name!r} must be a list of names, got {points}")
    skeleton = () if "skeleton" in changes else _skeleton(path, entry, len(points))
    try:
        return keypoint_set(points, skeleton, changes, category=name, category_id=entry["id"])
    except KeypointSetError as error:
        raise CocoError(f"{path}: category {name!r}: {error}") from error


def _category_ids(content: Mapping[str, Any]) -> frozenset[int]:
    found = (identity_of(entry.get("id")) for entry in content["categories"] if isinstance(entry, dict))
    return frozenset(identity for identity in found if identity is not None)


def _skeleton(path: Path, entry: Mapping[str, Any], count: int) -> list[tuple[int, int]]:
    """Pairs of indices from 0, of COCO's, which count from 1."""
    lines = []
    given = entry.get("skeleton") or []
    for pair in given if isinstance(given, list) else [given]:
        fits = isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, int) for end in pair)
        if not fits or not all(1 <= end <= count for end in pair):
            raise CocoError(
                f"{path}: 'skeleton' of category {entry.get('name')!r} must be pairs of numbers from 1 to {count}, "
                f"got {pair}; mend it, or give the skeleton with --keypoints"
            )
        lines.append((pair[0] - 1, pair[1] - 1))
    return lines


def _read_annotations(path: Path) -> dict[str, Any]:
    content = _read_json(path)
    if not isinstance(content, dict):
        raise CocoError(f"{path}: must hold an object with 'images', 'annotations' and 'categories'")
    return content


def _pictures(
    path: Path, content: Mapping[str, Any], folder: Path | None, problems: Problems
) -> dict[int, Picture | None]:
    """Each picture by its id; None for one that is itself left out. Without a folder, no file is looked for."""
    if folder is not None and not folder.is_dir():
        raise CocoError(f"{folder}: there is no such folder of pictures")
    entries = _list(path, content, "images")
    present = set() if folder is None else {found.name for found in os.scandir(folder)}
    pictures: dict[int, Picture | None] = {}
    for place, entry in enumerate(entries):
        try:
            identity, name = entry["id"], str(entry["file_name"] if folder else entry.get("file_name", ""))
            height, width = int(entry["height"]), int(entry["width"])
        except (KeyError, TypeError, ValueError, OverflowError):
            problems.add("picture without id, file_name, height or width", f"images[{place}]")
            continue
        identity = identity_of(identity)
        if identity is None:
            problems.add("picture id is not a whole number of 64 bits", f"images[{place}]")
            continue
        if identity in pictures:
            problems.add("picture id repeats", identity)
            continue
        pictures[identity] = None
        if min(height, width) < 1:
            problems.add("picture of no size", identity)
        elif max(height, width) > LONGEST_SIDE:
            problems.add(f"picture of more than {LONGEST_SIDE:,} pixels along a side", identity)
        elif folder is None:
            pictures[identity] = Picture(Path(name), height, width)
        else:
            found = name in present or _is_file(folder / name)
            pictures[identity] = Picture(folder / name, height, width, found)
            if not found:
                problems.add("file of a picture is missing", name)
    if folder and entries and not any(picture and picture.present for picture in pictures.values()):
        raise CocoError(f"{folder}: holds none of the {count_of(len(entries), 'picture')} of {path}\n{problems}")
    return pictures


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for any file
        return False


def _list(path: Path, content: Mapping[str, Any], key: str) -> list[Any]:
    values = content.get(key)
    if not isinstance(values, list):
        raise CocoError(f"{path}: {key!r} must be a list, got {type(values).__name__ if key in content else 'nothing'}")
    return values


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except JsonError as error:
        raise CocoError(str(error)) from error
