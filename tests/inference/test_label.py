from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmsa.data.boxes import DetectionFile
from cmsa.inference.label import LabelRule, fill_labels, label_person, label_photos, write_labels
from cmsa.structures import COCO, Box, KeypointSet

THREE = KeypointSet(("nose", "left_hand", "right_hand"), ((1, 2),), (0.05,) * 3, ((0, 1),), ())


class Bright:
    """Finds the brightest pixel of each colour: one keypoint each, as sure as the colour is bright."""

    def __init__(self, size: tuple[int, int] = (64, 48), shift: float = 0.0, sure: float = 1.0) -> None:
        self.input_size, self.shift, self.sure = size, shift, sure

    def __call__(self, crops, flip_index=None):
        flat = crops.reshape(len(crops), -1, 3)
        place = flat.argmax(axis=1)
        width = crops.shape[2]
        xy = np.stack([place % width, place // width], axis=-1).astype(float) + self.shift
        return xy, np.take_along_axis(flat, place[:, None], axis=1)[:, 0] / 255 * self.sure


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of 160x120 (HxW) with a red, a green and a faint blue square."""
    pixels = np.zeros((160, 120, 3), np.uint8)
    for channel, (x, y, value) in enumerate([(50, 60, 250), (70, 110, 240), (40, 130, 60)]):
        pixels[y - 3 : y + 4, x - 3 : x + 4, channel] = value
    path = tmp_path / "photos" / "one.png"
    path.parent.mkdir()
    Image.fromarray(pixels).save(path)
    return path


def detections(folder: Path, entries: list[dict]) -> DetectionFile:
    path = folder / "boxes.json"
    path.write_text(json.dumps([{"category_id": 1, "score": 1.0, **entry} for entry in entries]))
    return DetectionFile.read(path)


def test_keypoints_come_back_to_the_photo_and_faint_ones_are_not_labelled(photo, tmp_path):
    boxes = detections(tmp_path, [{"file_name": "one.png", "bbox": [20, 40, 75, 100]}])
    labels = label_photos([photo], boxes, [Bright()], LabelRule(flip_test=False), keypoint_set=THREE)
    (annotation,) = labels.content["annotations"]
    rows = np.array(annotation["keypoints"]).reshape(3, 3)
    np.testing.assert_allclose(rows[:2, :2], [(50, 60), (70, 110)], atol=4)
    assert rows[:, 2].tolist() == [2, 2, 0]
    assert rows[2].tolist() == [0, 0, 0]
    assert annotation["num_keypoints"] == 2
    assert annotation["area"] == pytest.approx(0.53 * 75 * 100)
    assert labels.content["images"] == [{"id": 1, "file_name": "one.png", "width": 120, "height": 160}]
    assert labels.content["categories"][0]["skeleton"] == [[1, 2]]


def test_a_keypoint_outside_of_the_picture_is_not_labelled(photo, tmp_path):
    boxes = detections(tmp_path, [{"file_name": "one.png", "bbox": [20, 40, 75, 100]}])
    teacher = Bright(shift=28.0)  # pixels of the crop: the green square comes to lie beside the picture
    labels = label_photos([photo], boxes, [teacher], LabelRule(flip_test=False), keypoint_set=THREE)
    rows = np.array(labels.content["annotations"][0]["keypoints"]).reshape(3, 3)
    assert rows[:, 2].tolist() == [2, 0, 0]
    assert rows[0, 0] == pytest.approx(102.9, abs=0.1)


def test_two_teachers_must_agree(photo):
    picture = np.asarray(Image.open(photo))
    box, rule = Box(20, 40, 75, 100), LabelRule(flip_test=False)
    near = label_person(picture, box, [Bright(), Bright(shift=1.0)], rule, THREE)
    far = label_person(picture, box, [Bright(), Bright(shift=8.0)], rule, THREE)
    assert near[1].tolist() == [True, True, False]
    assert not far[1].any()


def test_the_surer_teacher_weighs_more(photo):
    picture = np.asarray(Image.open(photo))
    box, rule = Box(20, 40, 75, 100), LabelRule(flip_test=False, thresholds=(0.1,))
    first = label_person(picture, box, [Bright()], rule, THREE)[0]
    second = label_person(picture, box, [Bright(shift=2.0)], rule, THREE)[0]
    both, _, confidence = label_person(picture, box, [Bright(), Bright(shift=2.0, sure=1 / 3)], rule, THREE)
    np.testing.assert_allclose(both, 0.75 * first + 0.25 * second)
    np.testing.assert_allclose(confidence[0], np.sqrt(250 / 255 * 250 / 255 / 3))


def test_what_is_left_out_is_named(photo, tmp_path):
    broken = photo.with_name("broken.png")
    broken.write_bytes(b"no picture")
    entries = [
        {"file_name": "one.png", "bbox": [20, 40, 75, 100]},
        {"file_name": "one.png", "bbox": [500, 500, 10, 10]},
        {"file_name": "broken.png", "bbox": [0, 0, 9, 9]},
    ]
    rule = LabelRule(flip_test=False, least=3)
    labels = label_photos([photo, broken], detections(tmp_path, entries), [Bright()], rule, keypoint_set=THREE)
    reasons = dict(labels.left_out)
    assert labels.content["annotations"] == []
    assert "2 keypoints, 3 are asked for" in reasons[f"{photo}, box 0"]
    assert f"{photo}, box 1" in reasons
    assert str(broken) in reasons


def test_numbers_of_teachers_and_of_keypoints_are_checked(photo, tmp_path):
    boxes = detections(tmp_path, [{"file_name": "one.png", "bbox": [20, 40, 75, 100]}])
    with pytest.raises(ValueError, match="one or two teachers, got 3"):
        label_photos([photo], boxes, [Bright()] * 3)
    with pytest.raises(ValueError, match="puts out 3 keypoints, the set has 17"):
        label_photos([photo], boxes, [Bright()], keypoint_set=COCO)


@pytest.mark.parametrize("values", [{"thresholds": ()}, {"thresholds": (1.5,)}, {"agreement": 0.0}])
def test_rules_are_checked(values):
    with pytest.raises(ValueError, match=r"thresholds|agreement"):
        LabelRule(**values)


def test_what_is_written_can_be_prepared_for_training(photo, tmp_path):
    from cmsa.data.prepare import prepare

    class Seventeen(Bright):
        def __call__(self, crops, flip_index=None):
            xy, scores = super().__call__(crops)
            return np.repeat(xy[:, :1], 17, axis=1), np.repeat(scores[:, :1], 17, axis=1)

    boxes = detections(tmp_path, [{"file_name": "one.png", "bbox": [20, 40, 75, 100]}])
    out = tmp_path / "made" / "annotations.json"
    write_labels(label_photos([photo], boxes, [Seventeen()]), out)
    assert [path.name for path in out.parent.iterdir()] == ["annotations.json"]
    files = {"annotations": out, "images": photo.parent}
    store = prepare("coco", tmp_path / "made.crops", **files, size=(32, 24), training=False, progress=False)
    np.testing.assert_allclose(store.labels["keypoints"][0, :, :2], [(50, 60)] * 17, atol=4)


def test_unlabelled_keypoints_are_filled_in_and_labelled_ones_stay(photo):
    person = {"id": 7, "image_id": 1, "bbox": [20, 40, 75, 100], "iscrowd": 0, "num_keypoints": 1}
    given = {
        "images": [{"id": 1, "file_name": "one.png"}],
        "annotations": [
            {**person, "keypoints": [48.0, 61.0, 2, 0, 0, 0, 0, 0, 0]},
            {**person, "iscrowd": 1, "keypoints": [1, 1, 2, 0, 0, 0, 0, 0, 0]},
            {**person, "keypoints": [0] * 9},
        ],
    }
    rule = LabelRule(flip_test=False)
    labels = fill_labels(given, photo.parent, [Bright()], rule, keypoint_set=THREE)
    first, crowd, unmarked = labels.content["annotations"]
    rows = np.array(first["keypoints"]).reshape(3, 3)
    assert rows[0].tolist() == [48, 61, 2]
    np.testing.assert_allclose(rows[1], [70, 110, 1], atol=4)
    assert rows[2].tolist() == [0, 0, 0]
    assert (first["num_keypoints"], first["filled"]) == (2, [1])
    assert crowd == given["annotations"][1]
    assert unmarked == given["annotations"][2]
    assert given["annotations"][0]["keypoints"][3:6] == [0, 0, 0]


def test_a_person_with_another_number_of_keypoints_is_named(photo):
    person = {"id": 7, "image_id": 1, "bbox": [20, 40, 75, 100], "keypoints": [1, 1, 2]}
    given = {"images": [{"id": 1, "file_name": "one.png"}], "annotations": [person]}
    with pytest.raises(ValueError, match=r"person 7 of one\.png: 3 keypoint numbers, expected 51"):
        fill_labels(given, photo.parent, [Bright()])
