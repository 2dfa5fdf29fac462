import csv
import json

import numpy as np
import pytest

from cmsa.inference.files.results import ResultFiles
from cmsa.structures import COCO, Box, ClassScores, HeadPose, Keypoints
from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.head_pose import HeadPoseTask
from cmsa.tasks.pose.task import PoseTask

BOX = Box(1, 2, 30, 40.5)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_people_are_coco_results(tmp_path):
    scores = np.full(17, 0.1)
    scores[:2] = 0.4, 0.8
    person = Keypoints(np.arange(34).reshape(17, 2), scores, COCO.names, BOX)
    results = ResultFiles(tmp_path, PoseTask((32, 24), (32, 24)))
    results.add("café.jpg", 5, [person], [0.5])
    assert results.write() == [tmp_path / "keypoints.json"]
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


def test_people_are_read_by_the_evaluation(tmp_path):
    from cmsa.metrics.keypoint_truth import KeypointTruth
    from cmsa.metrics.oks import evaluate_keypoints

    xy = np.random.default_rng(0).uniform(0, 100, (17, 2))
    results = ResultFiles(tmp_path, PoseTask((32, 24), (32, 24)))
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
    results = ResultFiles(tmp_path, HeadPoseTask())
    results.add("a, b.jpg", 3, [HeadPose(10.5, -20, 0, BOX)], [1.0])
    assert results.write() == [tmp_path / "head_pose.json", tmp_path / "head_pose.csv"]
    (record,) = json.loads((tmp_path / "head_pose.json").read_text())
    assert (record["yaw"], record["pitch"], record["roll"]) == (10.5, -20, 0)
    assert rows(tmp_path / "head_pose.csv") == [
        ["image_id", "file_name", "x", "y", "width", "height", "yaw", "pitch", "roll"],
        ["3", "a, b.jpg", "1.0", "2.0", "30.0", "40.5", "10.5", "-20", "0"],
    ]


def test_classes_keep_the_most_likely(tmp_path):
    results = ResultFiles(tmp_path, ClassificationTask(3), top=2)
    results.add("a.jpg", 1, [ClassScores([0.2, 0.5, 0.3], ("cat", "dog", "owl"), BOX)], [1.0])
    results.write()
    (record,) = json.loads((tmp_path / "classes.json").read_text())
    assert record["classes"] == [{"name": "dog", "probability": 0.5}, {"name": "owl", "probability": 0.3}]
    assert [row[-3:] for row in rows(tmp_path / "classes.csv")] == [
        ["rank", "class", "probability"],
        ["1", "dog", "0.5"],
        ["2", "owl", "0.3"],
    ]


def test_nobody_is_an_empty_list_and_nothing_half_written_stays(tmp_path):
    results = ResultFiles(tmp_path, PoseTask((32, 24), (32, 24)))
    results.add("a.jpg", 1, [], [])
    results.write()
    assert json.loads((tmp_path / "keypoints.json").read_text()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["keypoints.json"]
