"""Ray on this machine: the rows of a plain run, whoever is killed on the way. Needs ``cmsa[scale]``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

pytestmark = pytest.mark.exhaustive

COMMON = ["--weights", "pose.safetensors", "--runtime", "torch", "--threads", "1", "--batch-size", "4"]


def command(home: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "cmsa", "predict", "pose", "photos", *COMMON, "--out", str(out), *more]


@pytest.fixture(scope="module")
def expected(home: Path) -> Path:
    """The folder of a plain run."""
    out = home / "plain"
    assert subprocess.run(command(home, out), cwd=home, check=False).returncode == 1
    return out


def same(out: Path, expected: Path) -> bool:
    names = [json.loads(line)["file"] for line in (out / "results.jsonl").read_text().splitlines()]
    assert set(Counter(names).values()) == {1}
    return all(
        (out / name).read_bytes() == (expected / name).read_bytes() for name in ("results.jsonl", "keypoints.json")
    )


def processes() -> Iterator[tuple[int, int, str]]:
    """Process, parent and command line of all that run here."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            yield int(folder.name), parent, (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has just ended


def descendants(process: int) -> dict[int, str]:
    """The processes that a process has started, and those that these have."""
    there, found = list(processes()), {process: ""}
    while more := {one: text for one, parent, text in there if parent in found and one not in found}:
        found |= more
    return {one: text for one, text in found.items() if one != process}


def workers(process: int) -> list[int]:
    """Those that predict at this moment."""
    return [one for one, text in descendants(process).items() if text.startswith("ray::ShardWorker.predict")]


def until(found: object, run: subprocess.Popen[bytes], seconds: float = 240) -> object:
    """What ``found()`` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (value := found()):  # type: ignore[operator]
        assert run.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    return value


def shards(out: Path) -> list[Path]:
    return list((out / "shards").glob("[0-9]*.jsonl"))


def test_two_workers_say_what_a_plain_run_says(home: Path, expected: Path, tmp_path: Path) -> None:
    more = ["--engine", "ray", "--workers", "2", "--shard-size", "8", "--quiet"]
    done = subprocess.run(command(home, tmp_path / "out", *more), cwd=home, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    assert same(tmp_path / "out", expected)


def test_a_killed_worker_costs_no_row(home: Path, expected: Path, tmp_path: Path) -> None:
    more = ["--engine", "ray", "--workers", "2", "--shard-size", "2"]
    out = tmp_path / "out"
    with subprocess.Popen(command(home, out, *more), cwd=home, stderr=subprocess.PIPE) as run:
        until(lambda: shards(out), run)
        killed = until(lambda: workers(run.pid), run)
        os.kill(killed[0], signal.SIGKILL)  # type: ignore[index]
        _, told = run.communicate(timeout=400)
    assert run.returncode == 1
    assert told.count(b"a worker was lost at shard") == 1
    assert same(out, expected)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_was_stopped_goes_on(number: int, home: Path, expected: Path, tmp_path: Path) -> None:
    more = ["--engine", "ray", "--workers", "1", "--shard-size", "2"]
    out = tmp_path / "out"
    with subprocess.Popen(command(home, out, *more), cwd=home, stderr=subprocess.PIPE) as run:
        until(lambda: len(shards(out)) >= 2 and workers(run.pid), run)
        started = {one for one, text in descendants(run.pid).items() if text.startswith("ray::ShardWorker")}
        run.send_signal(number)
        _, told = run.communicate(timeout=120)
    assert run.returncode == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    assert (b"--resume goes on" in told) is (number == signal.SIGTERM)
    end = time.monotonic() + 60
    while {one for one, _, _ in processes()} & started:
        assert time.monotonic() < end
        time.sleep(0.5)
    kept = {path: path.stat().st_mtime_ns for path in shards(out)}
    assert 2 <= len(kept) < 20
    with subprocess.Popen(command(home, out, *more, "--resume"), cwd=home, stderr=subprocess.PIPE) as run:
        until(lambda: len(shards(out)) > len(kept), run)
        assert kept == {path: path.stat().st_mtime_ns for path in kept if path.exists()}
        _, told = run.communicate(timeout=400)
    assert f"{len(kept)} of 20 shards are there".encode() in told
    assert run.returncode == 1
    assert same(out, expected)
