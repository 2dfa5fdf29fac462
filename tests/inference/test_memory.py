"""A stream's memory does not depend on how long it is."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from cmsa.inference.detectors import make_detector
from cmsa.inference.files.run import FileRun
from cmsa.inference.pipeline import Pipeline
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Frame
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


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's own account")
def test_the_peak_of_an_hour_is_that_of_a_minute(tmp_path):
    """As many frames as an hour has at 25 a second, as fast as they can be done."""
    torch.manual_seed(0)
    predictor = Predictor(create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16), depths=(1, 1, 1)))
    pipeline = Pipeline(predictor, make_detector("motion"), track=True, smooth=True)
    minute, hour, peaks = 25 * 60, 25 * 3600, {}

    def frames():
        for number in range(hour):
            picture = np.full((96, 128, 3), 60, np.uint8)
            left = number % 110
            picture[20:70, left : left + 12] = 230
            if number in (minute, hour - 1):
                peaks[number] = peak_resident()
            yield Frame(picture, "camera 0", number, number / 25)

    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    FileRun(tmp_path, predictor.task).run(pipeline.run(frames()))
    assert peaks[hour - 1] < 1.1 * peaks[minute]
    assert sum(1 for _ in (tmp_path / "results.jsonl").open(encoding="utf-8")) == hour
