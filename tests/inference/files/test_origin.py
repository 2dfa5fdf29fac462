import hashlib
import json

import pytest

from cmsa.inference.detectors import Selection
from cmsa.inference.files.origin import digest, origin_of, origin_path, refuse_another, write_origin
from cmsa.inference.jsonl import ResultsError
from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.pose.task import PoseTask

USUAL = {
    "exported": None,
    "precision": "float32",
    "flip_test": False,
    "top": 5,
    "boxes": False,
    "box": None,
    "detector": None,
    "selection": None,
}


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"file": "a.png"}\n')
    (tmp_path / "pose.safetensors").write_bytes(b"weights")
    return tmp_path / "results.jsonl"


def origin(lines, task=None, **other):
    return origin_of(task or ClassificationTask(9), lines.parent / "pose.safetensors", **USUAL | other)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"flip_test": True}, r"--flip-test \(there False, now True\)"),
        ({"precision": "bf16"}, r"--precision \(there 'float32', now 'bf16'\)"),
        ({"top": 3}, r"--top \(there 5, now 3\)"),
        ({"track": True}, r"--track \(there False, now True\); go on"),
        ({"smooth": True}, r"--track \(there False, now True\), --smooth \(there False, now True\)"),
        ({"detector": "motion"}, r"--detector \(there None, now 'motion'\)"),
        ({"boxes": True}, r"--boxes \(there False, now True\); go on"),
        ({"box": [(0.0, 1.0, 8.0, 9.0)]}, r"--box \(there None, now \[\[0.0, 1.0, 8.0, 9.0\]\]\)"),
        ({"selection": Selection(0.5, maximum=2)}, r"--threshold \(there 0.0, now 0.5\), --max-people \(there None, "),
        ({"exported": __file__}, r"--exported \(there None, now \S+test_origin.py, sha256 [0-9a-f]{12}\)"),
    ],
)
def test_what_changes_lines_is_told(other, told, lines):
    write_origin(lines, origin(lines))
    refuse_another(lines, origin(lines), pytest.fail)
    with pytest.raises(ResultsError, match=told) as refused:
        refuse_another(lines, origin(lines, **other), pytest.fail)
    assert str(refused.value).startswith(f"{lines}: is of a run that differs in --")
    assert "choose another --out" in str(refused.value)


def test_weights_may_move_and_others_may_not_take_their_name(lines):
    weights, moved = lines.parent / "pose.safetensors", lines.parent / "moved.safetensors"
    write_origin(lines, origin(lines))
    weights.rename(moved)
    refuse_another(lines, origin_of(ClassificationTask(9), moved, **USUAL), pytest.fail)
    weights.write_bytes(b"trained on")
    there, now = (hashlib.sha256(text).hexdigest()[:12] for text in (b"weights", b"trained on"))
    with pytest.raises(ResultsError) as refused:
        refuse_another(lines, origin(lines), pytest.fail)
    assert f"--weights (there {weights}, sha256 {there}, now {weights}, sha256 {now})" in str(refused.value)


@pytest.mark.parametrize("kind", ["", "face:", "head:"])
def test_a_detectors_file_may_move_and_another_may_not_take_its_name(kind, lines, monkeypatch):
    monkeypatch.chdir(lines.parent)
    network, moved = lines.parent / "net.onnx", lines.parent / "moved.onnx"
    network.write_bytes(b"network")
    write_origin(lines, origin(lines, detector=f"{kind}net.onnx?score=0.4"))
    refuse_another(lines, origin(lines, detector=f"{kind}{network}?score=0.4"), pytest.fail)
    with pytest.raises(ResultsError, match=r"--detector \(there \S*net.onnx\?score=0.4, sha256 [0-9a-f]{12}, now "):
        refuse_another(lines, origin(lines, detector=f"{kind}net.onnx?score=0.5"), pytest.fail)
    network.rename(moved)
    refuse_another(lines, origin(lines, detector=f"{kind}{moved}?score=0.4"), pytest.fail)
    network.write_bytes(b"another")
    with pytest.raises(ResultsError, match="differs in --detector"):
        refuse_another(lines, origin(lines, detector=f"{kind}net.onnx?score=0.4"), pytest.fail)


def test_no_detector_and_the_one_of_that_name_are_the_same(lines):
    write_origin(lines, origin(lines))
    refuse_another(lines, origin(lines, detector="none"), pytest.fail)


def test_an_option_that_changes_nothing_decides_nothing(lines):
    """How many classes are kept is nothing to keypoints; and boxes that are the same may come as a tuple."""
    pose = PoseTask((32, 24), (32, 24))
    write_origin(lines, origin(lines, pose, top=5, box=((0.0, 0.0, 8.0, 9.0),)))
    refuse_another(lines, origin(lines, pose, top=3, box=[(0.0, 0.0, 8.0, 9.0)]), pytest.fail)


def test_lines_of_a_former_version_are_gone_on_with_and_that_is_told(lines):
    told = []
    refuse_another(lines, origin(lines), told.append)
    assert told == [f"{lines}: does not say by which weights and options it began; they are taken to be these"]


def test_of_a_newer_version_what_both_know_counts(lines):
    origin_path(lines).write_text(json.dumps({**origin(lines), "focus": 3}))
    refuse_another(lines, origin(lines), pytest.fail)
    known = {name: value for name, value in origin(lines).items() if name != "smooth"}
    origin_path(lines).write_text(json.dumps(known))
    refuse_another(lines, origin(lines), pytest.fail)


def test_to_no_line_any_may_be_added(lines):
    write_origin(lines, origin(lines))
    lines.write_text('{"file": "torn')
    refuse_another(lines, origin(lines, flip_test=True), pytest.fail)


@pytest.mark.parametrize("content", ["{", "[1]", ""])
def test_a_damaged_origin_is_told(content, lines):
    origin_path(lines).write_text(content)
    with pytest.raises(ResultsError, match=r"results\.run\.json.* remove it to go on"):
        refuse_another(lines, origin(lines), pytest.fail)


def test_the_numbers_of_an_openvino_file_count(tmp_path):
    (tmp_path / "net.xml").write_bytes(b"<net/>")
    alone = digest(tmp_path / "net.xml")
    (tmp_path / "net.bin").write_bytes(b"12")
    assert alone == hashlib.sha256(b"<net/>").hexdigest()
    assert digest(tmp_path / "net.xml") == hashlib.sha256(b"<net/>12").hexdigest()
    assert digest(tmp_path / "none.xml") is None
