"""A folder with all that the commands of the README and the documents need: photos, a video, people, a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from cmsa.structures import COCO

ROOT = Path(__file__).resolve().parents[2]


def furnish(folder: Path) -> Path:
    """Put everything into an empty folder, and return it."""
    (folder / "examples").symlink_to(ROOT / "examples")
    for first, split in ((101, "train2017"), (201, "val2017")):
        labels = folder / "coco" / "annotations" / f"person_keypoints_{split}.json"
        _write_people(folder / "coco" / split, labels, first)
    for first, split in ((1, "train"), (5, "val")):
        _write_people(folder / "own", folder / f"own-{split}.json", first)
    _write_video(folder / "door.mp4")
    released = load_file(next((ROOT / "tests" / "models" / "data").glob("*.safetensors")))
    # Inputs and expected outputs lie beside the checkpoint's tensors, under names without a dot.
    torch.save({key: value for key, value in released.items() if "." in key}, folder / "released.pth")
    return folder


def _write_people(pictures: Path, labels: Path, first: int = 1) -> None:
    """Four pictures of noise with a person each, numbered from ``first``."""
    random = np.random.default_rng(first)
    pictures.mkdir(parents=True, exist_ok=True)
    labels.parent.mkdir(exist_ok=True)
    images, annotations = [], []
    for number in range(first, first + 4):
        noise = random.integers(0, 255, (90, 120, 3), dtype=np.uint8)
        cv2.imwrite(str(pictures / f"{number:012d}.jpg"), noise)
        images.append({"id": number, "file_name": f"{number:012d}.jpg", "height": 90, "width": 120})
        points = np.column_stack([random.uniform(20, 100, 17), random.uniform(10, 80, 17), np.full(17, 2)])
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [15, 5, 90, 80],
                "area": 5000.0,
                "iscrowd": 0,
                "num_keypoints": 17,
                "keypoints": points.ravel().tolist(),
            }
        )
    category = {"id": 1, "name": "person", "keypoints": list(COCO.names), "skeleton": []}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    labels.write_text(json.dumps(content), encoding="utf-8")


def _write_video(path: Path) -> None:
    """Twenty frames in which something bright walks to the right."""
    door = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (160, 120))
    for number in range(20):
        frame = np.full((120, 160, 3), 60, np.uint8)
        frame[40:100, 4 * number : 4 * number + 20] = 230
        door.write(frame)
    door.release()
