"""Runs that are stopped from outside, as a user does it: what was done is kept, and gone on with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch

from cmsa.models.create import create_model
from cmsa.models.weights import save_weights

FRAMES = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A video of 12 seconds, and weights."""
    folder = tmp_path_factory.mktemp("stopped")
    torch.manual_seed(0)
    save_weights(folder / "pose.safetensors", create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16)))
    writer = cv2.VideoWriter(str(folder / "walk.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (160, 120))
    for number in range(FRAMES):
        frame = np.full((120, 160, 3), 60, np.uint8)
        frame[40:100, number % 140 : number % 140 + 20] = 230
        writer.write(frame)
    writer.release()
    return folder


def command(folder, *more):
    arguments = ["predict", "pose", str(folder / "walk.mp4"), "--weights", str(folder / "pose.safetensors")]
    boxes = ["--box", "10,10,40,60", "--runtime", "torch", "--threads", "1", "--batch-size", "4"]
    return [sys.executable, "-m", "cmsa", *arguments, *boxes, *more]


def stopped(folder, number, *more):
    """Start a run, stop it when it has done some forty frames, and give its exit code."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    lines = folder / "out" / "results.jsonl"
    with subprocess.Popen(command(folder, "--out", str(folder / "out"), *more), env=os.environ) as run:
        while not lines.exists() or lines.stat().st_size < 40_000:
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(number)
    return run.returncode


def go_on(folder, *more):
    return subprocess.run(command(folder, "--out", str(folder / "out"), "--resume", *more), check=False).returncode


def frames(folder):
    return [json.loads(line)["frame"] for line in (folder / "out" / "results.jsonl").read_text().splitlines()]


def shown(path):
    """How many frames of a video can be decoded."""
    video, count = cv2.VideoCapture(str(path)), 0
    while video.read()[0]:
        count += 1
    return count


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(folder):
    assert stopped(folder, signal.SIGKILL, "--save-video") == -signal.SIGKILL
    lines = (folder / "out" / "results.jsonl").read_bytes()
    done = lines.count(b"\n")
    assert 20 < done < FRAMES
    # What bears the name of a video plays; what was drawn of this one is lost.
    assert not (folder / "out" / "annotated" / "walk.mp4").exists()
    assert go_on(folder, "--save-video") == 0
    assert frames(folder) == list(range(FRAMES))
    assert (folder / "out" / "results.jsonl").read_bytes().startswith(lines[: lines.rindex(b"\n") + 1])
    assert len(json.loads((folder / "out" / "keypoints.json").read_text())) == FRAMES
    assert [path.name for path in (folder / "out" / "annotated").iterdir()] == ["walk.mp4"]
    assert shown(folder / "out" / "annotated" / "walk.mp4") == FRAMES - done


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_writes_its_results_and_a_video_that_plays(folder, number):
    assert stopped(folder, number, "--save-video") == 130
    done = frames(folder)
    assert done == list(range(len(done)))
    assert 20 < len(done) < FRAMES
    assert len(json.loads((folder / "out" / "keypoints.json").read_text())) == len(done)
    drawn = shown(folder / "out" / "annotated" / "walk.mp4")
    assert len(done) - 1 <= drawn <= len(done)
    if number == signal.SIGINT:
        assert go_on(folder, "--save-video") == 0
        assert sorted(path.name for path in (folder / "out" / "annotated").iterdir()) == ["walk-2.mp4", "walk.mp4"]
        assert shown(folder / "out" / "annotated" / "walk.mp4") == drawn
        assert shown(folder / "out" / "annotated" / "walk-2.mp4") == FRAMES - len(done)


@pytest.mark.slow
def test_a_terminal_of_ascii_is_no_reason_to_fail(folder):
    save_weights(folder / "head.safetensors", create_model("cmsa_n", "head_pose", (32, 32), dims=(16, 16, 16)))
    cv2.imwrite(str(folder / "weiß.png"), np.zeros((40, 30, 3), np.uint8))
    arguments = ["predict", "head-pose", str(folder / "weiß.png"), "--weights", str(folder / "head.safetensors")]
    done = subprocess.run(
        [sys.executable, "-m", "cmsa", *arguments, "--runtime", "torch", "--out", str(folder / "ascii")],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"\\xb0" in done.stdout
