import cv2
import numpy as np
import pytest

from cmsa.inference.detectors.detections import DetectorError
from cmsa.inference.detectors.faces import FaceDetector, head_box
from cmsa.structures import COCO, Box, Keypoints


def person(scores=1.0, **places):
    """Keypoints at the given places, the others at the origin without a score."""
    xy, believed = np.zeros((17, 2)), np.zeros(17)
    for name, place in places.items():
        xy[COCO.names.index(name)], believed[COCO.names.index(name)] = place, scores
    return Keypoints(xy, believed, COCO.names, Box(0, 0, 100, 200))


def test_a_frontal_face_is_as_large_as_its_eyes_say():
    # Eyes 6.3 px apart are a face of 19 px.
    box = head_box(person(left_eye=(53.15, 40), right_eye=(46.85, 40), nose=(50, 44)))
    assert (box.width, box.height) == pytest.approx((19, 19))
    assert box.center == pytest.approx((50, 124 / 3))


def test_a_profile_is_as_large_as_nose_and_ear_say():
    box = head_box(person(left_eye=(51, 40), right_eye=(50.5, 40), nose=(56, 44), left_ear=(44, 44)))
    assert box.width == pytest.approx(19)


def test_shoulders_help_where_only_the_nose_is_seen():
    box = head_box(person(nose=(50, 40), left_shoulder=(68, 70), right_shoulder=(32, 70)))
    assert box.width == pytest.approx(19)
    assert box.center == pytest.approx((50, 40))


def test_a_back_of_the_head_has_no_face():
    assert head_box(person(left_ear=(45, 40), right_ear=(55, 40))) is None
    assert head_box(person(nose=(50, 40))) is None
    assert head_box(person(scores=0.1, left_eye=(53, 40), right_eye=(47, 40))) is None


class Yunet:
    """Stands in for OpenCV's detector, whose weights are the user's."""

    def __init__(self):
        self.size, self.fed = None, None

    def setInputSize(self, size):
        self.size = size

    def detect(self, picture):
        self.fed = picture
        rows = np.zeros((3, 15), np.float32)
        rows[0, :4], rows[0, 14] = (1, 2, 30, 40), 0.8
        rows[1, :4], rows[1, 14] = (5, 6, 0, 40), 0.85
        rows[2, :4], rows[2, 14] = (50, 6, 20, 25), 0.9
        return 1, rows


def test_faces_are_read_best_first_and_fed_in_blue_green_red(tmp_path, monkeypatch):
    yunet = Yunet()
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *arguments: yunet)
    (tmp_path / "yunet.onnx").write_bytes(b"model")
    red = np.zeros((60, 90, 3), np.uint8)
    red[..., 0] = 255
    found = FaceDetector(tmp_path / "yunet.onnx")(red)
    assert [box.xywh for box in found.boxes] == [(50, 6, 20, 25), (1, 2, 30, 40)]
    assert found.source == "face:yunet.onnx"
    assert yunet.size == (90, 60)
    assert yunet.fed[0, 0].tolist() == [0, 0, 255]
    monkeypatch.setattr(yunet, "detect", lambda picture: (0, None))
    assert len(FaceDetector(tmp_path / "yunet.onnx")(red)) == 0


def test_a_file_that_is_no_face_detector_is_named(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(DetectorError, match=r"bad\.onnx: OpenCV cannot open it"):
        FaceDetector(tmp_path / "bad.onnx")


def test_a_network_that_opens_and_is_no_yunet_is_told_before_the_first_picture(tmp_path, monkeypatch):
    def fail(picture):
        raise cv2.error("the outputs are others")

    other = Yunet()
    other.detect = fail
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *arguments: other)
    (tmp_path / "other.onnx").write_bytes(b"model")
    with pytest.raises(DetectorError, match=r"other\.onnx: OpenCV cannot run it as a face detector: it is no YuNet"):
        FaceDetector(tmp_path / "other.onnx")
