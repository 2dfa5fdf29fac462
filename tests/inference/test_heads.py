import json

import numpy as np
import pytest

from cmsa.data.image import read_image
from cmsa.inference.cuts import CutPicture
from cmsa.inference.detectors import Detections
from cmsa.inference.heads import HeadDetector, make_head_detector
from cmsa.structures import COCO, Box, Keypoints


class Two:
    """Finds two people."""

    source = "two"

    def __call__(self, picture, name=None):
        return Detections((Box(0, 0, 9, 9), Box(9, 0, 9, 9)), (0.75, 0.5), ("person",) * 2, "two")


class OneLooksHere:
    """Stands in for a predictor: of two people, one looks here and one away."""

    def cut(self, picture, boxes):
        return CutPicture((), range(len(boxes)))

    def predict_cuts(self, cuts):
        xy, scores = np.zeros((17, 2)), np.zeros((2, 17))
        for name, place in {"left_eye": (53.15, 40), "right_eye": (46.85, 40), "nose": (50, 44)}.items():
            xy[COCO.names.index(name)], scores[0, COCO.names.index(name)] = place, 1
        yield [Keypoints(xy, score, COCO.names, Box(0, 0, 9, 9)) for score in scores]


def test_faces_are_those_of_who_shows_one():
    faces = HeadDetector(Two(), OneLooksHere())(np.zeros((60, 90, 3), np.uint8))
    assert faces.scores == (0.75,)
    assert faces.boxes[0].width == pytest.approx(19)
    assert faces.source == "head of keypoints, two"


def test_the_shipped_weights_find_the_faces_of_the_examples(request):
    folder = request.config.rootpath / "examples" / "people"
    detector = make_head_detector(f"head:{folder / 'boxes.json'}")
    for face in json.loads((folder / "faces.json").read_text()):
        path = folder / face["file_name"]
        found = detector(read_image(path), str(path))
        assert found.source == "head of keypoints, boxes.json"
        x, y, width, height = face["bbox"]
        (nearest,) = sorted(found.boxes, key=lambda box: abs(box.center[0] - x - width / 2))[:1]
        assert np.linalg.norm(np.array(nearest.center) - (x + width / 2, y + height / 2)) < 0.4 * width
        assert 0.7 < nearest.width / width < 1.4


def test_of_a_file_of_boxes_only_people_have_heads(tmp_path):
    person = {"image_id": 7, "category_id": 1, "bbox": [10, 5, 30, 50], "score": 0.5}
    (tmp_path / "boxes.json").write_text(json.dumps([person, person | {"category_id": 18}]))
    people = make_head_detector(f"head:{tmp_path / 'boxes.json'}").people
    assert len(people(np.zeros((60, 90, 3), np.uint8), "7.jpg").boxes) == 1
