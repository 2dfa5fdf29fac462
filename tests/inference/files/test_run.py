import numpy as np

from cmsa.inference.cuts import CutPicture
from cmsa.inference.detectors.detections import Detections
from cmsa.inference.files.run import FileRun
from cmsa.inference.pipeline import FrameResult
from cmsa.inference.streams import Notice
from cmsa.inference.streams.frame import Frame
from cmsa.tasks.classification import ClassificationTask


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
