import json
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_every_photo_is_small_and_has_its_source_and_licence_stated():
    readme = (EXAMPLES / "README.md").read_text()
    photos = sorted(EXAMPLES.glob("*/*.jpg"))
    assert len(photos) == 6
    for photo in photos:
        assert photo.stat().st_size < 150_000
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{photo.parent.name}/{photo.name}`"))
        assert any(licence in row for licence in ("BSD-3-Clause", "CC0", "public domain"))


@pytest.mark.parametrize("name", ["people/boxes.json", "people/faces.json", "things/boxes.json"])
def test_boxes_lie_inside_their_photos(name):
    records = json.loads((EXAMPLES / name).read_text())
    files: dict[int, str] = {}
    for record in records:
        assert files.setdefault(record["image_id"], record["file_name"]) == record["file_name"]
        with Image.open((EXAMPLES / name).parent / record["file_name"]) as photo:
            x, y, width, height = record["bbox"]
            assert x >= 0
            assert y >= 0
            assert 40 <= width <= photo.width - x
            assert 40 <= height <= photo.height - y
