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
