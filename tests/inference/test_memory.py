"""A stream's memory does not depend on how long it is."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from cmsa.inference.detectors import make_detector
from cmsa.inference.files.run import FileRun
from cmsa.inference.pipeline import Pipeline
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Frame, SourceFinder, read_frames
from cmsa.models.create import create_model


def resident():
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_resident():
    """The most kilobytes that this process has had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's own account")
def test_twenty_minutes_take_the_memory_of_one(tmp_path):
    torch.manual_seed(0)
    predictor = Predictor(create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16)))
    pipeline = Pipeline(predictor, make_detector("motion"), track=True, smooth=True)
    measured = {}

    def frames():
        # Twenty minutes at two frames a second; someone comes and goes all the time.
        for number in range(2400):
            picture = np.full((240, 320, 3), 60, np.uint8)
            picture[60:160, 4 * number % 300 : 4 * number % 300 + 20] = 230
            if number in (120, 2399):
                measured[number] = resident()
            yield Frame(picture, "camera 0", number, number / 2)

    FileRun(tmp_path, predictor.task).run(pipeline.run(frames()))
    assert measured[2399] < 1.1 * measured[120]
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 2400


MINUTE, HOUR = 25 * 60, 25 * 3600


@pytest.fixture
def hour(tmp_path):
    """A video of 90,000 small frames, an hour at 25 a second, through which somebody walks all the time."""
    path = tmp_path / "hour.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for number in range(HOUR):
        frame = np.full((48, 64, 3), 60, np.uint8)
        left = number % 55
        frame[10:35, left : left + 6] = 230
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's own account")
def test_the_peak_of_an_hour_is_that_of_a_minute(hour, tmp_path):
    """All of an hour's frames, decoded, looked through for motion, cut, tracked, smoothed, written, and made into a
    COCO file at the end. Only the network is a convolution here, for it keeps nothing from one batch to the next."""
    torch.manual_seed(0)
    predictor = Predictor(create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16), depths=(1, 1, 1)))
    predictor.network = nn.Conv2d(3, 17, 1)
    pipeline = Pipeline(predictor, make_detector("motion"), track=True, smooth=True)
    peaks = {}

    def frames():
        for frame in read_frames(SourceFinder().find([hour])):
            if frame.number == MINUTE:
                peaks["minute"] = peak_resident()
            yield frame

    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    FileRun(tmp_path, predictor.task).run(pipeline.run(frames()))
    peaks["hour"] = peak_resident()
    print(f"peak of a minute {peaks['minute'] / 1e3:.1f} MB, of an hour {peaks['hour'] / 1e3:.1f} MB")
    assert peaks["hour"] < 1.1 * peaks["minute"]
    # Most of these megabytes are PyTorch's own code: 200 bytes kept of each frame would be less than a tenth of them.
    assert peaks["hour"] - peaks["minute"] < HOUR * 200 / 1e3
    assert sum(1 for _ in (tmp_path / "results.jsonl").open(encoding="utf-8")) == HOUR
