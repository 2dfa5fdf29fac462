import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from cmsa.inference import jsonl
from cmsa.inference.jsonl import ResultLines, ResultsError, read_results


def test_a_line_is_in_the_file_when_write_returns(tmp_path):
    path = tmp_path / "results.jsonl"
    with ResultLines(path) as lines:
        for frame in range(3):
            lines.write({"file": "weiß.mp4", "frame": frame, "xy": np.array([[1.5, 2]])})
            assert [record["frame"] for record in read_results(path)] == list(range(frame + 1))
    assert path.read_text(encoding="utf-8").splitlines()[0] == '{"file": "weiß.mp4", "frame": 0, "xy": [[1.5, 2.0]]}'


def test_a_torn_last_line_is_dropped_and_the_rest_gone_on_with(tmp_path):
    path = tmp_path / "results.jsonl"
    with ResultLines(path) as lines:
        lines.write({"file": "a.png"})
        lines.write({"file": "c.mp4", "error": "cannot be opened"})
        lines.write({"file": "b.mp4", "frame": 6})
        lines.write({"file": "b.mp4", "frame": 9})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"file": "b.mp4", "fra')
    assert len(list(read_results(path))) == 4
    with ResultLines(path, resume=True) as lines:
        assert lines.done == {"a.png": -1, "b.mp4": 9, "c.mp4": -1}
        assert lines.lines == 4
        assert path.read_bytes() == whole
        lines.write({"file": "c.png"})
    assert [record["file"] for record in read_results(path)] == ["a.png", "c.mp4", "b.mp4", "b.mp4", "c.png"]
    with ResultLines(path):
        assert path.read_bytes() == b""


def test_resume_without_a_file_begins_one(tmp_path):
    with ResultLines(tmp_path / "new.jsonl", resume=True) as lines:
        assert lines.done == {}


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"frame": 1}', '{"file": 3}'])
def test_a_line_that_is_no_result_is_named(tmp_path, line):
    path = tmp_path / "results.jsonl"
    path.write_text(f'{{"file": "a.png"}}\n{line}\n')
    with pytest.raises(ResultsError, match=r"results\.jsonl, line 2: is "):
        ResultLines(path, resume=True)


def test_what_json_does_not_have_becomes_null(tmp_path):
    path = tmp_path / "results.jsonl"
    numbers = np.array([1, np.nan, -np.inf], np.float32)
    with ResultLines(path) as lines:
        lines.write({"file": "a.png", "numbers": numbers, "one": float("inf"), 7: np.int64(3)})

    def refuse(text):
        raise AssertionError(text)

    record = json.loads(path.read_text(), parse_constant=refuse)
    assert record == {"file": "a.png", "numbers": [1.0, None, None], "one": None, "7": 3}


def test_a_name_that_is_no_utf8_does_not_stop_it(tmp_path):
    path = tmp_path / "results.jsonl"
    with ResultLines(path) as lines:
        lines.write({"file": os.fsdecode(b"caf\xe9.png")})
    (record,) = read_results(path)
    assert record["file"].startswith("caf")


WRITER = """
import resource, runpy, sys

path, limit, module = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ResultLines = runpy.run_path(module)["ResultLines"]  # without the package, and so without torch
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
lines = ResultLines(path)
try:
    for frame in range(10**9):
        lines.write({"file": "camera 0", "frame": frame, "keypoints": [frame] * 51})
except OSError as error:
    sys.exit(f"{frame}: {error.strerror}")
"""


def test_a_full_disk_keeps_the_last_whole_line(tmp_path):
    path = tmp_path / "results.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), "10000", jsonl.__file__], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    content = path.read_bytes()
    assert content.endswith(b"]}\n")
    assert 9000 < len(content) <= 10000
    assert [record["frame"] for record in read_results(path)] == list(range(int(done.stderr.split(":")[0])))


def test_a_killed_run_loses_nothing(tmp_path):
    path = tmp_path / "results.jsonl"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path), "0", jsonl.__file__]) as writer:
        while not path.exists() or path.stat().st_size < 100_000:
            assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
    with ResultLines(path, resume=True) as lines:
        frames = [record["frame"] for record in read_results(path)]
        assert frames == list(range(lines.done["camera 0"] + 1))
        assert lines.lines == len(frames) > 100


def test_two_runs_do_not_write_into_one_file(tmp_path):
    path = tmp_path / "results.jsonl"
    with ResultLines(path) as lines:
        lines.write({"file": "a.png"})
        with pytest.raises(ResultsError, match="another run writes"):
            ResultLines(path)
        assert len(list(read_results(path))) == 1
    ResultLines(path).close()


def test_a_drive_without_locks_is_written_to(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with ResultLines(tmp_path / "results.jsonl") as lines:
        lines.write({"file": "a.png"})
    assert len(list(read_results(tmp_path / "results.jsonl"))) == 1


def test_windows_is_told_to_leave_the_ends_of_lines_alone(tmp_path, monkeypatch):
    """It would write two bytes for each, and count one."""
    binary, flags, opened = 1 << 40, [], os.open
    monkeypatch.setattr(os, "O_BINARY", binary, raising=False)
    monkeypatch.setattr(
        jsonl.os, "open", lambda path, how, mode: flags.append(how) or opened(path, how & ~binary, mode)
    )
    with ResultLines(tmp_path / "results.jsonl") as lines:
        lines.write({"file": "a"})
    assert [bool(how & binary) for how in flags] == [True]
