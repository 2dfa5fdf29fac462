"""People of a COCO data set: annotations or detections -> records, with a list of everything that is wrong.

Layout: one JSON file (``person_keypoints_*.json``) and one folder of pictures. Nothing that is wrong with a single
entry stops the reading: it is left out, counted and listed. Only a file that is not of this kind is an error.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cmsa.data.crops import CropSpec
from cmsa.data.datasets.coco_entries import EntryReader, Person, Picture
from cmsa.data.problems import Problems
from cmsa.data.store_writer import CropSource
from cmsa.geometry.crops import region_center
from cmsa.structures import COCO, KeypointSet

BoxSource = Literal["ground truth", "detections"]


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
    """

    people: list[Person]
    box_source: BoxSource
    keypoint_set: KeypointSet = COCO
    problems: Problems = field(default_factory=Problems)

    def __len__(self) -> int:
        return len(self.people)


def load_people(
    annotations: str | Path,
    images: str | Path,
    *,
    detections: str | Path | None = None,
    keypoint_set: KeypointSet = COCO,
) -> CocoPeople:
    """Read the people of a COCO data set.

    Of the annotations, those without area, crowds and those without a marked keypoint are left out, and boxes are
    clipped to their picture (HRNet ``lib/dataset/coco.py``). Detections are all kept, as they are.

    Args:
        annotations: the annotation file; with ``detections``, only its pictures and categories are used.
        images: the folder of its pictures.
        detections: a COCO result file, a list of ``{image_id, category_id, bbox, score}``.
        keypoint_set: what the file's keypoints must be.

    Raises:
        CocoError: a file is missing, not JSON or not of this kind, its keypoints are others, or the folder holds
            none of the pictures.
    """
    annotations, images = Path(annotations), Path(images)
    content = _read_json(annotations)
    if not isinstance(content, dict):
        raise CocoError(f"{annotations}: must hold an object with 'images', 'annotations' and 'categories'")
    problems = Problems()
    category = _person_category(annotations, content, keypoint_set)
    pictures = _pictures(annotations, content, images, problems)
    if detections is None:
        entries = _list(annotations, content, "annotations")
    else:
        entries = _read_json(Path(detections))
        if not isinstance(entries, list):
            raise CocoError(f"{detections}: must hold a list of detections")
    reader = EntryReader(category, pictures, problems, len(keypoint_set))
    read = reader.annotation if detections is None else reader.detection
    people = [person for place, entry in enumerate(entries) if (person := read(entry, place)) is not None]
    return CocoPeople(people, "ground truth" if detections is None else "detections", keypoint_set, problems)


def people_to_sources(people: CocoPeople, spec: CropSpec) -> list[CropSource]:
    """Group people by picture, ready for ``cmsa.data.store_writer.build_store``.

    Labels, for n people: ``keypoints`` (n, K, 3) float32 x, y in pixels of the picture and v, zeros for detections;
    ``box`` (n, 4) float64 xywh; ``area`` and ``score`` (n,) float64; ``image_id`` and ``annotation_id`` (n,) int64.
    """
    groups: dict[Path, list[Person]] = {}
    for person in people.people:
        groups.setdefault(person.file, []).append(person)
    unmarked = np.zeros((len(people.keypoint_set), 3))
    return [
        CropSource(
            image=file,
            centers=np.array([region_center(person.box, spec.convention) for person in group]),
            extents=np.array([(person.box.width, person.box.height) for person in group]),
            labels={
                "keypoints": np.stack(
                    [unmarked if person.keypoints is None else person.keypoints for person in group]
                ).astype(np.float32),
                "box": np.array([person.box.xywh for person in group]),
                "area": np.array([person.area for person in group]),
                "score": np.array([person.score for person in group]),
                "image_id": np.array([person.image_id for person in group], dtype=np.int64),
                "annotation_id": np.array([person.annotation_id for person in group], dtype=np.int64),
            },
        )
        for file, group in groups.items()
    ]


def _person_category(path: Path, content: dict[str, Any], keypoint_set: KeypointSet) -> int:
    entries = _list(path, content, "categories")
    categories = [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), int)]
    for entry in categories:
        if entry.get("keypoints") == list(keypoint_set.names):
            return int(entry["id"])
    for entry in categories:
        # The file that lists the test pictures names the categories only.
        if entry.get("name") == "person" and "keypoints" not in entry:
            return int(entry["id"])
    found = [entry.get("keypoints", entry.get("name")) for entry in categories]
    raise CocoError(f"{path}: no entry of 'categories' has the keypoints {list(keypoint_set.names)}, found {found}")


def _pictures(path: Path, content: dict[str, Any], folder: Path, problems: Problems) -> dict[int, Picture | None]:
    """Each picture by its id; None for one that is itself left out."""
    if not folder.is_dir():
        raise CocoError(f"{folder}: there is no such folder of pictures")
    entries = _list(path, content, "images")
    present = {found.name for found in os.scandir(folder)}
    pictures: dict[int, Picture | None] = {}
    for place, entry in enumerate(entries):
        try:
            identity, name = int(entry["id"]), str(entry["file_name"])
            height, width = int(entry["height"]), int(entry["width"])
        except (KeyError, TypeError, ValueError):
            problems.add("picture without id, file_name, height or width", f"images[{place}]")
            continue
        if identity in pictures:
            problems.add("picture id repeats", identity)
            continue
        pictures[identity] = None
        if min(height, width) < 1:
            problems.add("picture of no size", identity)
        elif name not in present and not (folder / name).is_file():
            problems.add("file of a picture is missing", name)
        else:
            pictures[identity] = Picture(folder / name, height, width)
    if entries and not any(pictures.values()):
        raise CocoError(f"{folder}: holds none of the {len(entries)} pictures of {path}\n{problems}")
    return pictures


def _list(path: Path, content: dict[str, Any], key: str) -> list[Any]:
    values = content.get(key)
    if not isinstance(values, list):
        raise CocoError(f"{path}: {key!r} must be a list, got {type(values).__name__ if key in content else 'nothing'}")
    return values


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CocoError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CocoError(f"{path}: is not JSON ({error})") from error
