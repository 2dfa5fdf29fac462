import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from PIL import Image

from cmsa.inference.detectors.motion import MotionDetector

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_every_photo_is_small_and_has_its_source_and_licence_stated():
    readme = (EXAMPLES / "README.md").read_text()
    photos = sorted(EXAMPLES.glob("*/*.jpg"))
    assert len(photos) == 5
    for photo in photos:
        assert photo.stat().st_size < 150_000
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{photo.parent.name}/{photo.name}`"))
        assert any(licence in row for licence in ("CC0", "public domain"))


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


def test_one_person_walks_through_the_video(tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "make_video.py", tmp_path / "door.mp4"], check=True, capture_output=True)
    assert (tmp_path / "door.mp4").stat().st_size < 500_000
    video, detect, found = cv2.VideoCapture(str(tmp_path / "door.mp4")), MotionDetector(), []
    while (frame := video.read())[0]:
        found.append(detect(frame[1]).boxes)
    assert [len(boxes) for boxes in found] == [0] * 12 + [1] * 44
    walked = [box for (box,) in found[12:]]
    assert all(70 < box.height < 90 and 25 < box.width < 42 for box in walked)
    way = [box.x + box.width / 2 for box in walked]
    assert way[-1] - way[0] == pytest.approx(5 * 43 / 2, abs=3)


def test_a_video_that_cannot_be_written(tmp_path):
    command = [sys.executable, EXAMPLES / "make_video.py", tmp_path / "none" / "door.mp4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"{tmp_path / 'none' / 'door.mp4'}: cannot be written"
