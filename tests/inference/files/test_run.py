from cmsa.inference.files.run import FileRun
from cmsa.inference.streams import Notice
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
