from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from cmsa.data.image import read_image
from cmsa.inference.detectors import Detections, DetectorError, Selection
from cmsa.inference.detectors.selection import SelectiveDetector
from cmsa.serve.boxes import read_boxes
from cmsa.serve.limits import Limits
from cmsa.serve.refusal import Refusal
from cmsa.serve.service import Asked, Batching, Service, load_detector, load_predictor
from cmsa.structures import Box

BOXES = [[318.0, 92.0, 56.0, 151.0], [384.0, 129.0, 50.0, 135.0]]


def answers(service: Service, *asked: Asked):
    async def all_of_them():
        return await asyncio.gather(*map(service.answer, asked))

    try:
        return asyncio.run(all_of_them())
    finally:
        service.close()


class Finder:
    """Finds as many boxes as it is told, the last one the best."""

    source = "finder"

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, picture, name=None):
        boxes = tuple(Box(place, 1, 20, 30) for place in range(self.count))
        scores = tuple((place + 1) / self.count for place in range(self.count))
        return Detections(boxes, scores, ("",) * self.count, self.source)


@pytest.mark.parametrize("task", ["pose", "head-pose", "classify"])
def test_answers_are_the_predictors(predictors, park, task):
    predictor = predictors[task]
    values = predictor(park, boxes=BOXES)
    corners = [[x, y, x + width, y + height] for x, y, width, height in BOXES]
    asked = [
        Asked(park, read_boxes(json.dumps(boxes), 5), "a.jpg", 7) for boxes in ({"xywh": BOXES}, {"xyxy": corners})
    ]
    first, second = answers(Service(predictor, top=3), *asked)
    assert first == second
    assert {key: first[key] for key in ("file", "image_id", "height", "width", "detector")} == {
        "file": "a.jpg",
        "image_id": 7,
        "height": read_image(park).shape[0],
        "width": read_image(park).shape[1],
        "detector": "given",
    }
    for found, value, box in zip(first["predictions"], values, BOXES, strict=True):
        assert found.pop("bbox") == box
        assert found.pop("box_score") == 1
        expected = predictor.task.record(value, 1.0, 3)
        assert found.keys() == expected.keys()
        for name in expected:
            if name == "classes":
                assert [one["name"] for one in found[name]] == [one["name"] for one in expected[name]]
            else:
                np.testing.assert_allclose(found[name], expected[name], atol=2e-4)


def test_without_boxes_the_whole_picture_is_one(predictors, park):
    (line,) = answers(Service(predictors["pose"]), Asked(park))
    height, width = read_image(park).shape[:2]
    assert line["detector"] == "whole picture"
    assert [found["bbox"] for found in line["predictions"]] == [[0, 0, width, height]]


def test_no_box_is_no_prediction(predictors, park):
    (line,) = answers(Service(predictors["pose"]), Asked(park, read_boxes('{"xywh": []}', 5)))
    assert line["predictions"] == []


def test_a_box_outside_is_left_out_and_named(predictors, park):
    boxes = read_boxes(json.dumps({"xywh": [[-100, -100, 50, 50, 0.5], [*BOXES[0], 0.25]]}), 5)
    (line,) = answers(Service(predictors["pose"]), Asked(park, boxes))
    assert [found["bbox"] for found in line["predictions"]] == [BOXES[0]]
    assert line["predictions"][0]["box_score"] == 0.25
    assert [skipped["box"] for skipped in line["skipped"]] == [0]
    assert "lies outside the picture" in line["skipped"][0]["reason"]


def test_a_detector_finds_the_boxes_the_best_so_many_of_them(predictors, park):
    service = Service(predictors["pose"], Finder(9), Limits(boxes=3))
    (line,) = answers(service, Asked(park))
    assert line["detector"] == "finder"
    assert [found["bbox"][0] for found in line["predictions"]] == [6, 7, 8]


@pytest.mark.parametrize(
    ("picture", "status", "words"),
    [
        (b"hello", 415, "is no picture"),
        (b"", 415, "is no picture"),
        ("large", 413, r"80x60 \(HxW\) pixels are more than the 0.001 megapixels"),
        ("torn", 422, "is damaged"),
    ],
)
def test_pictures_that_are_not_taken(predictors, made, picture, status, words):
    limits = Limits(megapixels=0.001 if picture == "large" else 25)
    content = {"large": made(), "torn": made()[:900]}.get(picture, picture)
    with pytest.raises(Refusal, match=words) as told:
        answers(Service(predictors["pose"], limits=limits), Asked(content))
    assert (told.value.status, told.value.where) == (status, "picture")


def test_pixels_do_not_wait_with_the_crops(predictors, park):
    service = Service(predictors["pose"])
    prepared = service._prepare(Asked(park))
    assert prepared.frame.picture.shape == read_image(park).shape
    assert prepared.frame.picture.strides == (0, 0, 0)
    service.close()


def test_warming_up_makes_it_ready_and_shows_a_value(predictors):
    service = Service(predictors["head-pose"])
    assert not service.ready
    service.warm_up()
    assert service.ready
    assert set(service.example) == {"yaw", "pitch", "roll"}
    service.close()


def test_a_network_that_cannot_run_is_kept_as_a_failure(predictors, monkeypatch):
    service = Service(predictors["pose"])
    monkeypatch.setattr(service, "_compute", lambda cuts: 1 / 0)
    service.warm_up()
    assert not service.ready
    assert isinstance(service.failed, ZeroDivisionError)
    service.close()


@pytest.mark.parametrize("text", ["motion", "boxes.json", "boxes.json?category=1"])
def test_detectors_of_one_camera_and_of_files_are_refused(predictors, text):
    with pytest.raises(DetectorError, match="a server gets"):
        Service(predictors["pose"], load_detector(text, predictors["pose"]))


def test_a_selection_goes_around_the_detector(predictors):
    found = load_detector("none", predictors["pose"], Selection(maximum=3))
    assert isinstance(found, SelectiveDetector)
    assert found.selection.maximum == 3


def test_weights_must_be_for_the_task():
    with pytest.raises(ValueError, match="cmsa_n_pose_32x24: they are for pose, not for head_pose"):
        load_predictor("head-pose", "cmsa_n_pose_32x24")
    with pytest.raises(ValueError, match="no task 'walk'; there are pose"):
        load_predictor("walk")
    assert load_predictor("classify", runtime="torch").task.name == "classification"


def test_ranges(predictors):
    with pytest.raises(ValueError, match="at least 1 class"):
        Service(predictors["pose"], top=0)
    with pytest.raises(ValueError, match="at least 1 thread decodes"):
        Batching(workers=0)
