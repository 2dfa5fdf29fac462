"""Detectors in ONNX files: small made graphs whose boxes are known, and a real one."""

import contextlib
import io
import json

import numpy as np
import pytest

from cmsa.data.image import read_image
from cmsa.inference.detectors.detections import DetectorError
from cmsa.inference.detectors.make import make_detector
from cmsa.inference.detectors.onnx_file import OnnxDetector

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def graph(path, outputs, shape=(1, 3, 64, 96), element=TensorProto.FLOAT):
    """A file that gives ``outputs`` (name -> array), whatever it is fed."""
    made = {name: numpy_helper.from_array(value) for name, value in outputs.items()}
    constants = [helper.make_node("Constant", [], [name], value=value) for name, value in made.items()]
    kinds = {"f": TensorProto.FLOAT, "i": TensorProto.INT64}
    declared = [
        helper.make_tensor_value_info(name, kinds[value.dtype.kind], value.shape) for name, value in outputs.items()
    ]
    given = [helper.make_tensor_value_info("images", element, shape)]
    model = helper.make_model(
        helper.make_graph(constants, "made", given, declared), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    onnx.save(model, path)
    return path


def picture(height=64, width=96):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def yolo8_table(boxes, count=200, classes=3):
    """(1, 4 + classes, count) with (cx, cy, w, h, class, score) rows at the first places."""
    table = np.zeros((1, 4 + classes, count), np.float32)
    for place, (*box, number, score) in enumerate(boxes):
        table[0, :4, place] = box
        table[0, 4 + number, place] = score
    return table


def test_yolo8_is_recognised_placed_back_and_suppressed(tmp_path):
    # A picture of 32x48 fills the 64x96 input at scale 2.
    boxes = [(40, 30, 20, 40, 0, 0.9), (41, 30, 20, 40, 0, 0.8), (80, 30, 10, 10, 0, 0.5), (40, 30, 20, 40, 2, 0.95)]
    detector = OnnxDetector(graph(tmp_path / "eight.onnx", {"output0": yolo8_table(boxes)}))
    assert detector.name == "yolov8"
    found = detector(picture(32, 48))
    np.testing.assert_allclose([box.xywh for box in found.boxes], [(15, 5, 10, 20), (37.5, 12.5, 5, 5)], atol=1e-6)
    np.testing.assert_allclose(found.scores, [0.9, 0.5], atol=1e-6)
    assert found.labels == ("person", "person")
    assert found.source == "eight.onnx"


@pytest.mark.parametrize(("classes", "expected"), [("2", [0.95]), ("all", [0.95, 0.9, 0.5]), ("0,2", [0.95, 0.9, 0.5])])
def test_classes_are_selectable(tmp_path, classes, expected):
    boxes = [(40, 30, 20, 40, 0, 0.9), (41, 30, 20, 40, 0, 0.8), (80, 30, 10, 10, 0, 0.5), (40, 30, 20, 40, 2, 0.95)]
    path = graph(tmp_path / "eight.onnx", {"output0": yolo8_table(boxes)})
    found = make_detector(f"{path}?classes={classes}&score=0.35")(picture())
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)


def test_classes_and_sizes_that_the_file_does_not_have_are_told_at_once(tmp_path):
    path = graph(tmp_path / "eight.onnx", {"output0": yolo8_table([])})
    with pytest.raises(DetectorError, match=r"eight\.onnx: classes 999: the detector has 3, counted from 0"):
        make_detector(f"{path}?classes=0,999")
    with pytest.raises(DetectorError, match=r"eight\.onnx: takes pictures of \(64, 96\) \(H, W\) alone"):
        make_detector(f"{path}?size=320x320")
    assert make_detector(f"{path}?size=64x96&classes=2").name == "yolov8"


def test_a_letterbox_is_taken_off_on_both_sides(tmp_path):
    # 64x48 keeps its size in 64x96: 24 columns are filled up at left and at right.
    path = graph(tmp_path / "eight.onnx", {"output0": yolo8_table([(48, 32, 20, 40, 0, 0.9)])})
    (box,) = OnnxDetector(path)(picture(64, 48)).boxes
    np.testing.assert_allclose(box.xywh, (14, 12, 20, 40), atol=1e-6)


def test_yolo5_multiplies_objectness_and_class(tmp_path):
    table = np.zeros((1, 50, 7), np.float32)
    table[0, 0] = 40, 30, 20, 40, 0.9, 0.8, 0.1
    table[0, 1] = 80, 30, 10, 10, 0.5, 0.6, 0.9
    detector = OnnxDetector(graph(tmp_path / "five.onnx", {"output": table}))
    assert detector.name == "yolov5"
    found = detector(picture())
    np.testing.assert_allclose([box.xywh for box in found.boxes], [(30, 10, 20, 40)], atol=1e-6)
    np.testing.assert_allclose(found.scores, [0.72], atol=1e-6)
    with pytest.raises(DetectorError, match=r"classes 5: the detector has 2, counted from 0"):
        make_detector(f"{tmp_path / 'five.onnx'}?classes=5")(picture())


def test_chosen_boxes_are_not_suppressed_again(tmp_path):
    table = np.zeros((1, 300, 6), np.float32)
    table[0, 0] = 30, 10, 50, 50, 0.9, 0
    table[0, 1] = 31, 10, 51, 50, 0.8, 0
    table[0, 2] = 31, 10, 51, 50, 0.8, 7
    detector = OnnxDetector(graph(tmp_path / "ten.onnx", {"output0": table}))
    assert detector.name == "yolov10"
    np.testing.assert_allclose([box.xywh for box in detector(picture()).boxes], [(30, 10, 20, 40), (31, 10, 20, 40)])


@pytest.mark.parametrize("shape", [(3, "height", "width"), (1, 3, 64, 96)])
def test_torchvision_outputs_in_any_order(tmp_path, shape):
    outputs = {
        "labels": np.array([1, 18, 1]),
        "boxes": np.array([[30, 10, 50, 50], [1, 2, 3, 4], [5, 6, 5, 60]], np.float32),
        "scores": np.array([0.9, 0.8, 0.7], np.float32),
    }
    detector = OnnxDetector(graph(tmp_path / "tv.onnx", outputs, shape))
    assert detector.name == "torchvision"
    found = detector(picture(64, 96))
    assert [box.xywh for box in found.boxes] == [(30, 10, 20, 40)]  # the dog is no person, the last has no area
    assert found.scores == pytest.approx([0.9])


def test_nanodet_distances_are_means_of_distributions(tmp_path):
    # Strides 16 and 32 of a 64x96 input: 4x6 and 2x3 cells; 5 distances for each side.
    outputs = {}
    for cells, name in ((24, "a"), (6, "b")):
        outputs[f"cls_{name}"] = np.zeros((1, cells, 3), np.float32)
        outputs[f"dis_{name}"] = np.full((1, cells, 20), -50, np.float32)
    outputs["cls_a"][0, 6 + 2, 0] = 0.75  # row 1, column 2: centre (40, 24)
    for side, distance in enumerate((1, 0, 2, 1)):
        outputs["dis_a"][0, 8, side * 5 + distance] = 50
    outputs["dis_a"][0, 8, 1 * 5 + 1] = 50  # up: 0 and 1 alike, so half a stride
    detector = OnnxDetector(graph(tmp_path / "nano.onnx", outputs))
    assert detector.name == "nanodet"
    (box,) = detector(picture(64, 96)).boxes
    np.testing.assert_allclose(box.xywh, (24, 16, 48, 24), atol=1e-6)
    # A picture of 32x32 lies at the input's left top at scale 2: the corner, not the middle.
    (box,) = detector(picture(32, 32)).boxes
    np.testing.assert_allclose(box.xywh, (12, 8, 24, 12), atol=1e-6)


def test_what_the_network_is_fed(tmp_path):
    from cmsa.inference.detectors.layouts import LAYOUTS

    red = np.zeros((20, 40, 3), np.uint8)
    red[..., 0] = 255
    fed, _ = LAYOUTS["yolov8"].preparation(red, (40, 40))
    assert fed.shape == (1, 3, 40, 40)
    np.testing.assert_allclose(fed[0, :, 20, 20], [1, 0, 0])
    np.testing.assert_allclose(fed[0, :, 5, 20], [114 / 255] * 3, rtol=1e-6)
    np.testing.assert_allclose(fed[0, :, 35, 20], [114 / 255] * 3, rtol=1e-6)
    fed, _ = LAYOUTS["nanodet"].preparation(red, (40, 40))
    expected = [-103.53 / 57.375, -116.28 / 57.12, (255 - 123.675) / 58.395]
    np.testing.assert_allclose(fed[0, :, 5, 20], expected, rtol=1e-5)


def test_an_unknown_layout_says_what_was_seen(tmp_path):
    path = graph(tmp_path / "odd.onnx", {"strange": np.zeros((1, 7), np.float32)})
    with pytest.raises(
        DetectorError, match=r"no known layout \(torchvision.*images \[1, 3, 64, 96\].*strange \(1, 7\)"
    ):
        OnnxDetector(path)
    with pytest.raises(DetectorError, match=r"not laid out as yolov8.*strange \(1, 7\) float32"):
        OnnxDetector(path, "yolov8")
    with pytest.raises(DetectorError, match="no layout 'yolov99'; there are torchvision"):
        OnnxDetector(path, "yolov99")


def test_an_input_that_is_no_picture_says_what_was_seen(tmp_path):
    path = graph(tmp_path / "odd.onnx", {"strange": np.zeros((1, 7), np.float32)}, shape=(1, 64, 96, 3))
    with pytest.raises(DetectorError, match=r"3 channels before.*; seen: inputs images \[1, 64, 96, 3\]"):
        OnnxDetector(path)


def test_a_damaged_or_missing_file_is_named(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(DetectorError, match=r"bad.onnx: is no ONNX file"):
        OnnxDetector(tmp_path / "bad.onnx")
    with pytest.raises(DetectorError, match=r"gone.onnx: there is no such"):
        OnnxDetector(tmp_path / "gone.onnx")


def overlap(first, second):
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    both = max(0, width) * max(0, height)
    return both / (first[2] * first[3] + second[2] * second[3] - both)


@pytest.mark.shared
def test_nanodet_finds_the_people_of_the_examples(shared, request):
    people = request.config.rootpath / "examples" / "people"
    entries = json.loads((people / "boxes.json").read_text())
    detector = make_detector(f"{shared / 'models' / 'nanodet_416.onnx'}?threads=1")
    assert entries
    for name in {entry["file_name"] for entry in entries}:
        boxes = [entry["bbox"] for entry in entries if entry["file_name"] == name]
        found = [box.xywh for box in detector(read_image(people / name)).boxes]
        assert len(found) == len(boxes)
        for box in boxes:
            assert max(overlap(box, other) for other in found) > 0.7, (name, box)


@pytest.mark.shared
@pytest.mark.slow
def test_nanodet_scores_as_published_on_coco_mini(shared):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    folder = shared / "data" / "coco-mini"
    detector = make_detector(f"{shared / 'models' / 'nanodet_416.onnx'}?threads=1&score=0.05")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "annotations" / "person_keypoints_val2017.json"))
        results = []
        for number, entry in truth.imgs.items():
            found = detector(read_image(folder / "val2017" / entry["file_name"], apply_exif=False))
            for box, score in zip(found.boxes, found.scores, strict=True):
                results.append({"image_id": number, "category_id": 1, "bbox": list(box.xywh), "score": score})
        scores = COCOeval(truth, truth.loadRes(results), "bbox")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    assert scores.stats[0] >= 0.36
