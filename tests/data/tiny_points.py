"""A made-up COCO file of things with any keypoints: dots in a box, crowds, unmarked things and an empty picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 90, 130

LSP = {
    "id": 1,
    "name": "person",
    "keypoints": [
        *("Right ankle", "Right knee", "Right hip", "Left hip", "Left knee", "Left ankle", "Right wrist"),
        *("Right elbow", "Right shoulder", "Left shoulder", "Left elbow", "Left wrist", "Neck", "Head top"),
    ],
    "skeleton": [[1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [7, 8], [8, 9], [9, 10], [10, 11], [11, 12], [13, 14]],
}
COW = {
    "id": 7,
    "name": "cow",
    "keypoints": ["nose", "tail", "L_ear", "R_ear"],
    "skeleton": [[1, 2], [1, 3], [1, 4]],
}


def write_points(folder: Path, category: dict[str, Any], pictures: int = 4, each: int = 2) -> tuple[Path, Path]:
    """Annotations and picture folder of ``pictures * each`` things of a category, beside one of cars without any."""
    images = folder / "images"
    images.mkdir(parents=True)
    count = len(category["keypoints"])
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 3, "name": "car"}, category]}
    numbers = np.random.default_rng(0)

    def note(picture: int, x: float, points: Any, visibility: Any, **changes: Any) -> None:
        entry = {
            "id": len(content["annotations"]),
            "image_id": picture + 10,
            "category_id": category["id"],
            "bbox": [x, 8, 45, 60],
            "area": 1350.0,
            "iscrowd": 0,
            "keypoints": np.column_stack([points, visibility]).ravel().tolist(),
        }
        content["annotations"].append(entry | changes)

    for picture in range(pictures + 1):
        pixels = np.full((HEIGHT, WIDTH, 3), 40 + picture, np.uint8)
        content["images"].append({"id": picture + 10, "file_name": f"{picture}.png", "height": HEIGHT, "width": WIDTH})
        for place in range(each if picture < pictures else 0):
            x = 5.0 + 60 * place
            points = np.stack([numbers.uniform(x, x + 45, count), numbers.uniform(8, 68, count)], axis=1)
            for px, py in points.astype(int):
                pixels[py - 1 : py + 2, px - 1 : px + 2] = 250
            note(picture, x, points, np.full(count, 2))
        Image.fromarray(pixels).save(images / f"{picture}.png")
    note(0, 40.0, np.zeros((count, 2)), np.zeros(count), iscrowd=1, bbox=[30, 5, 90, 80], area=6000.0)
    note(1, 50.0, np.zeros((count, 2)), np.zeros(count))
    note(2, 8.0, numbers.uniform(8, 50, (count, 2)), np.full(count, 2), category_id=3)
    annotations = folder / "annotations.json"
    annotations.write_text(json.dumps(content), encoding="utf-8")
    return annotations, images
