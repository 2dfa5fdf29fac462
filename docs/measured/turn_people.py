"""People before a camera that hangs upside down: COCO keypoint annotations and their pictures, turned by 180 degrees.

    python docs/measured/turn_people.py people/annotations/person_keypoints_train.json people/images turned/train 80
    python docs/measured/turn_people.py people/annotations/person_keypoints_val.json people/images turned/val

writes ``turned/train.json`` and the pictures into ``turned/train``; the number is of pictures, drawn with seed 0.
docs/own_people.md has what fine-tuning on them gives.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from PIL import Image


def turn(person: dict[str, Any], width: int, height: int) -> dict[str, Any]:
    """A person of a picture of this size, pixel centres at integers; left stays left, for nothing is mirrored."""
    x, y, across, down = person["bbox"]
    points = list(person["keypoints"])
    for place in range(0, len(points), 3):
        if points[place + 2]:
            points[place], points[place + 1] = width - 1 - points[place], height - 1 - points[place + 1]
    return person | {"bbox": [width - x - across, height - y - down, across, down], "keypoints": points}


def main(annotations: str, pictures: str, out: str, count: str = "") -> None:
    """Turn the people of some pictures, or of all."""
    content = json.loads(Path(annotations).read_text(encoding="utf-8"))
    images = random.Random(0).sample(content["images"], int(count)) if count else content["images"]
    sizes = {}
    for image in images:
        with Image.open(Path(pictures) / image["file_name"]) as picture:
            image["file_name"] = f"{Path(image['file_name']).stem}.png"
            Path(out).mkdir(parents=True, exist_ok=True)
            picture.convert("RGB").rotate(180).save(Path(out) / image["file_name"])
        sizes[image["id"]] = image["width"], image["height"]
    people = [person for person in content["annotations"] if person["image_id"] in sizes]
    turned = [turn(person, *sizes[person["image_id"]]) for person in people]
    Path(f"{out}.json").write_text(json.dumps(content | {"images": images, "annotations": turned}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
