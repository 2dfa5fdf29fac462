import csv
import json

import numpy as np
import pytest

from cmsa.inference.cuts import CutPicture
from cmsa.inference.detectors import Detections
from cmsa.inference.files.lines import notice_line, result_line
from cmsa.inference.files.results import write_results
from cmsa.inference.jsonl import ResultLines
from cmsa.inference.pipeline import FrameResult
from cmsa.inference.streams import Frame, Notice
from cmsa.structures import COCO, Box, ClassScores, HeadPose, Keypoints
from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.head_pose import HeadPoseTask
from cmsa.tasks.pose.task import PoseTask

BOX = Box(1, 2, 30, 40.5)
TASKS = {
    "pose": PoseTask((32, 24), (32, 24)),
    "head_pose": HeadPoseTask(),
    "classification": ClassificationTask(3),
}


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


class Written:
    """A results.jsonl to which values are added, and what is made of it."""

    def __init__(self, folder, task, top=5):
        self.task, self.top, self.path = TASKS[task], top, folder / "results.jsonl"
        self.lines = ResultLines(self.path)

    def add(self, name, image_id, values, scores, reasons=None, **frame):
        frame = Frame(np.zeros((60, 90, 3), np.uint8), name, **frame)
        found = Detections(tuple(value.box for value in values), tuple(scores), ("",) * len(values), "test.onnx")
        identities = [7 + place if frame.time is not None else None for place in range(len(values))]
        result = FrameResult(frame, values, identities, found, CutPicture((), (), reasons or {}))
        self.lines.write(result_line(result, self.task, self.top, image_id))

    def write(self):
        self.lines.close()
        return write_results(self.path, self.task)


def test_people_are_coco_results(tmp_path):
    scores = np.full(17, 0.1)
    scores[:2] = 0.4, 0.8
    person = Keypoints(np.arange(34).reshape(17, 2), scores, COCO.names, BOX)
    results = Written(tmp_path, "pose")
    results.add("café.jpg", 5, [person], [0.5])
    assert results.write() == [tmp_path / "keypoints.json", tmp_path / "keypoints.csv"]
    (record,) = json.loads((tmp_path / "keypoints.json").read_text(encoding="utf-8"))
    assert record["keypoints"][:6] == [0, 1, 0.4, 2, 3, 0.8]
    assert len(record["keypoints"]) == 51
    # The mean of those above 0.2, times the box's score.
    assert record["score"] == pytest.approx(0.6 * 0.5)
    assert {key: record[key] for key in ("image_id", "category_id", "bbox", "file_name")} == {
        "image_id": 5,
        "category_id": 1,
        "bbox": [1, 2, 30, 40.5],
        "file_name": "café.jpg",
    }
    assert "frame" not in record


def test_people_are_a_table_with_the_columns_of_a_row(tmp_path):
    person = Keypoints(np.arange(34).reshape(17, 2), np.full(17, 0.5), COCO.names, BOX)
    results = Written(tmp_path, "pose")
    results.add("a.jpg", 5, [person, person], [1.0, 0.5])
    assert results.write() == [tmp_path / "keypoints.json", tmp_path / "keypoints.csv"]
    heads, *table = rows(tmp_path / "keypoints.csv")
    assert heads == ["image_id", "file_name", *person.row()]
    assert [float(cell) for cell in table[0][2:]] == list(person.row().values())
    assert [row[6] for row in table] == ["0.5", "0.25"]


def test_people_are_read_by_the_evaluation(tmp_path):
    from cmsa.metrics.keypoint_truth import KeypointTruth
    from cmsa.metrics.oks import evaluate_keypoints

    xy = np.random.default_rng(0).uniform(0, 100, (17, 2))
    results = Written(tmp_path, "pose")
    results.add("a.jpg", 5, [Keypoints(xy, np.ones(17), COCO.names, Box(0, 0, 100, 100))], [1.0])
    results.write()
    truth = {
        "images": [{"id": 5, "height": 100, "width": 100}],
        "categories": [{"id": 1, "keypoints": list(COCO.names)}],
        "annotations": [
            {
                **{"id": 1, "image_id": 5, "category_id": 1, "iscrowd": 0, "num_keypoints": 17},
                **{"area": 1e4, "bbox": [0, 0, 100, 100]},
                "keypoints": np.concatenate([xy, np.full((17, 1), 2)], axis=1).ravel().tolist(),
            }
        ],
    }
    found = json.loads((tmp_path / "keypoints.json").read_text())
    assert evaluate_keypoints(KeypointTruth.of_coco(truth), found)["AP"] == pytest.approx(1)


def test_head_poses_and_their_table(tmp_path):
    results = Written(tmp_path, "head_pose")
    results.add("a, b.jpg", 3, [HeadPose(10.5, -20, 0, BOX)], [1.0])
    assert results.write() == [tmp_path / "head_pose.json", tmp_path / "head_pose.csv"]
    (record,) = json.loads((tmp_path / "head_pose.json").read_text())
    assert (record["yaw"], record["pitch"], record["roll"]) == (10.5, -20, 0)
    assert rows(tmp_path / "head_pose.csv") == [
        ["image_id", "file_name", "x", "y", "width", "height", "yaw", "pitch", "roll"],
        ["3", "a, b.jpg", "1.0", "2.0", "30.0", "40.5", "10.5", "-20", "0"],
    ]


def test_frames_say_which_and_when_and_who(tmp_path):
    results = Written(tmp_path, "head_pose")
    results.add("a.mp4", 1, [HeadPose(1, 2, 3, BOX), HeadPose(4, 5, 6, BOX)], [0.5, 0.25], number=12, time=0.48)
    results.add("b.jpg", 2, [HeadPose(7, 8, 9, BOX)], [1.0])
    results.write()
    (first, second) = [json.loads(line) for line in results.path.read_text().splitlines()]
    assert (first["file"], first["frame"], first["time"], first["detector"]) == ("a.mp4", 12, 0.48, "test.onnx")
    assert (first["height"], first["width"]) == (60, 90)
    assert [(one["id"], one["box_score"], one["yaw"]) for one in first["predictions"]] == [(7, 0.5, 1), (8, 0.25, 4)]
    assert "frame" not in second
    assert "id" not in second["predictions"][0]
    assert [row[:5] for row in rows(tmp_path / "head_pose.csv")] == [
        ["image_id", "file_name", "frame", "time", "id"],
        ["1", "a.mp4", "12", "0.48", "7"],
        ["1", "a.mp4", "12", "0.48", "8"],
        ["2", "b.jpg", "", "", ""],
    ]


def test_classes_keep_the_most_likely(tmp_path):
    results = Written(tmp_path, "classification", top=2)
    results.add("a.jpg", 1, [ClassScores([0.2, 0.5, 0.3], ("cat", "dog", "owl"), BOX)], [1.0])
    results.write()
    (record,) = json.loads((tmp_path / "classes.json").read_text())
    assert record["classes"] == [{"name": "dog", "probability": 0.5}, {"name": "owl", "probability": 0.3}]
    assert [row[-3:] for row in rows(tmp_path / "classes.csv")] == [
        ["rank", "class", "probability"],
        ["1", "dog", "0.5"],
        ["2", "owl", "0.3"],
    ]


def test_nobody_is_an_empty_line_and_nothing_half_written_stays(tmp_path):
    results = Written(tmp_path, "pose")
    results.add("a.jpg", 1, [], [], {0: "no area"})
    results.lines.write(notice_line(Notice("b.jpg", "cannot be decoded")))
    results.lines.write(notice_line(Notice("c.mp4", "stops", number=7)))
    results.write()
    assert json.loads((tmp_path / "keypoints.json").read_text()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keypoints.csv", "keypoints.json", "results.jsonl"]
    lines = [json.loads(line) for line in results.path.read_text().splitlines()]
    assert (lines[0]["predictions"], lines[0]["skipped"]) == ([], [{"box": 0, "reason": "no area"}])
    assert lines[1:] == [
        {"file": "b.jpg", "error": "cannot be decoded"},
        {"file": "c.mp4", "frame": 7, "error": "stops"},
    ]


def test_a_name_that_is_no_text_costs_nothing(tmp_path):
    results = Written(tmp_path, "pose")
    results.add("caf\udce9.jpg", 1, [Keypoints(np.zeros((17, 2)), np.zeros(17), COCO.names, BOX)], [1.0])
    results.write()
    (record,) = json.loads((tmp_path / "keypoints.json").read_text(encoding="utf-8"))
    assert record["file_name"].startswith("caf")
