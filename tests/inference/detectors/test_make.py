import json

import numpy as np
import pytest

from cmsa.inference.detectors.detections import DetectorError
from cmsa.inference.detectors.looked_up import WHOLE
from cmsa.inference.detectors.make import make_detector
from cmsa.inference.detectors.motion import MotionDetector

PICTURE = np.zeros((60, 90, 3), np.uint8)


def test_none_takes_the_whole_picture_and_says_so():
    found = make_detector("none")(PICTURE)
    assert [box.xywh for box in found.boxes] == [(0, 0, 90, 60)]
    assert found.source == WHOLE == "whole picture"


def test_a_file_of_boxes_goes_by_the_picture_s_name(tmp_path):
    path = tmp_path / "boxes.json"
    entries = [
        {"file_name": "a.png", "bbox": [1, 2, 30, 40], "score": 0.5, "category_id": 1},
        {"file_name": "a.png", "bbox": [1, 2, 0, 0], "score": 0.6, "category_id": 1},
        {"file_name": "a.png", "bbox": [5, 2, 30, 40], "score": 0.7, "category_id": 3},
    ]
    path.write_text(json.dumps(entries))
    detector = make_detector(f"{path}?category=1")
    found = detector(PICTURE, str(tmp_path / "a.png"))
    assert ([box.xywh for box in found.boxes], found.scores, found.source) == ([(1, 2, 30, 40)], (0.5,), "boxes.json")
    assert len(detector(PICTURE, "b.png")) == 0
    assert len(make_detector(str(path), category=3)(PICTURE, "a.png")) == 1
    assert make_detector(f"{path}?category=1", category=3)(PICTURE, "a.png").scores == (0.5,)
    with pytest.raises(DetectorError, match="this picture has none"):
        detector(PICTURE)


def test_options_stand_behind_a_question_mark():
    detector = make_detector("motion?method=knn&history=200&merge=0.1", score=0.3)
    assert isinstance(detector, MotionDetector)
    assert (detector.method, detector.history, detector.merge) == ("knn", 200, 0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yolo", "no detector 'yolo'; there are none, motion, torchvision:NAME, face:FILE.onnx, head:DETECTOR, FILE"),
        ("head", "no detector 'head'; there are"),
        ("head:motion", r"cmsa.inference.heads.make_head_detector\('head:motion'\)"),
        ("motion:x", "no detector 'motion:x'"),
        ("motion?speed=3", "motion: no option 'speed'; there are method, history"),
        ("none?speed=3", "none: no option 'speed'; there are none"),
        ("motion?history=many", r"motion: history must be a whole number from 1, got 'many'"),
        ("motion?history=0", r"motion: history must be a whole number from 1, got '0'"),
        ("motion?history=-5", r"motion: history must be a whole number from 1, got '-5'"),
        ("motion?side=8", r"motion: side must be a whole number from 16, got '8'"),
        ("motion?threshold=0", r"motion: threshold must be a positive number, got '0'"),
        ("motion?merge=2", r"motion: merge must be a number from 0 to 1, got '2'"),
        ("yolo.onnx?score=7", r"yolo.onnx: score must be a number from 0 to 1, got '7'"),
        ("yolo.onnx?score=nan", r"yolo.onnx: score must be a number from 0 to 1, got 'nan'"),
        ("yolo.onnx?iou=-1", r"yolo.onnx: iou must be a number from 0 to 1, got '-1'"),
        ("yolo.onnx?size=100", r"yolo.onnx: size must be HEIGHTxWIDTH in pixels, e.g. 416x416, got '100'"),
        ("yolo.onnx?size=0x9", r"yolo.onnx: size must be HEIGHTxWIDTH"),
        ("yolo.onnx?classes=a", r"yolo.onnx: classes must be class numbers from 0, as in 0,2, or all, got 'a'"),
        ("yolo.onnx?classes=-1", r"yolo.onnx: classes must be class numbers from 0"),
        ("face:yunet.onnx?score=2", r"face:yunet.onnx: score must be a number from 0 to 1, got '2'"),
        ("motion?history", "written NAME=VALUE"),
        ("face", "face: needs the file"),
        ("face:gone.onnx", "gone.onnx: there is no such"),
        ("gone.onnx", "gone.onnx: there is no such"),
        ("torchvision:yolo", "torchvision has no detector 'yolo'; there are fasterrcnn"),
    ],
)
def test_what_cannot_be_made_is_named(text, message):
    with pytest.raises(DetectorError, match=message):
        make_detector(text)
