import json

import numpy as np
import pytest

from cmsa.inference.cuts import CutPicture
from cmsa.inference.detectors.detections import Detections
from cmsa.inference.files.run import FileRun
from cmsa.inference.jsonl import ResultsError
from cmsa.inference.pipeline import FrameResult
from cmsa.inference.streams import Notice
from cmsa.inference.streams.frame import Frame
from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.pose.task import PoseTask


def test_what_happens_to_a_camera_is_told_at_once_and_is_no_loss(tmp_path):
    told = []

    def items():
        yield Notice("door", "no more frames, trying again in 0.5 s", False, 7)
        assert told == ["door, frame 7: no more frames, trying again in 0.5 s"]
        yield Notice("gate", "does not open")
        assert len(told) == 1

    run = FileRun(tmp_path, ClassificationTask(3), tell=told.append)
    run.run(items())
    assert run.summary.told.first == [("door, frame 7", "no more frames, trying again in 0.5 s")]
    assert run.summary.skipped.first == [("gate", "does not open")]


def test_a_run_that_begins_again_keeps_what_was_there(tmp_path):
    told = []
    for number, text in enumerate(("one", "two", "three")):
        frame = Frame(np.zeros((4, 4, 3), np.uint8), f"{text}.png")
        result = FrameResult(frame, (), (), Detections((), (), (), "none"), CutPicture((), (), {}))
        FileRun(tmp_path, ClassificationTask(3), tell=told.append).run(iter([result]))
        assert len(told) == number
    kept = {path.name: path.read_text().split('"')[3] for path in tmp_path.glob("*.jsonl")}
    assert kept == {"results-2.jsonl": "one.png", "results-3.jsonl": "two.png", "results.jsonl": "three.png"}
    assert "is now results-2.jsonl; --resume would have gone on with it" in told[0]


@pytest.mark.parametrize(
    "prediction",
    [{"bbox": [0, 0, 9, 9], "classes": [{"name": "a", "probability": 1.0}]}, {"score": 1, "keypoints": [1, 2, 3]}, 3],
)
def test_results_of_another_task_are_not_gone_on_with(prediction, tmp_path):
    lines = json.dumps({"file": "a.png", "image_id": 1, "predictions": [prediction]}) + "\n"
    (tmp_path / "results.jsonl").write_text(lines)
    with pytest.raises(ResultsError, match=r"results\.jsonl, line 1: is no result of pose by these weights"):
        FileRun(tmp_path, PoseTask((32, 24), (32, 24)), resume=True)
    assert (tmp_path / "results.jsonl").read_text() == lines
    fine = {"bbox": [0, 0, 9, 9], "score": 1.0, "keypoints": [1.0, 2.0, 0.5] * 17}
    (tmp_path / "results.jsonl").write_text(json.dumps({"file": "a.png", "image_id": 7, "predictions": [fine]}) + "\n")
    run = FileRun(tmp_path, PoseTask((32, 24), (32, 24)), resume=True)
    assert (run.done, run.summary.before) == ({"a.png": -1}, 1)
