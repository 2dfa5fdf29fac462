"""A forked process computes, or says why it does not; it never waits for threads that are not there."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from cmsa.inference.predictor import Predictor
from cmsa.models import create_model

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def _predict(predictor: Predictor, connection: Any) -> None:
    try:
        connection.send((predictor(PICTURE)[0].probabilities, torch.get_num_threads()))
    except RuntimeError as error:
        connection.send((str(error), 0))


def forked(predictor: Predictor) -> tuple[Any, int]:
    """What a forked child says within a minute."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_predict, args=(predictor, there))
    process.start()
    try:
        assert here.poll(60), "the child hangs"
        answer: tuple[Any, int] = here.recv()
        return answer
    finally:
        process.kill()
        process.join()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def model():
    torch.manual_seed(0)
    return create_model("cmsa_n", "classification", (16, 16), depths=(1, 1, 1), attention="standard", num_classes=10)


@pytest.mark.usefixtures("two_threads")
def test_pytorch_goes_on_with_one_thread():
    predictor = Predictor(model())
    expected = predictor(PICTURE)[0].probabilities
    found, threads = forked(predictor)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert threads == 1
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("runtime", ["openvino", pytest.param("onnxruntime", marks=pytest.mark.slow)])
def test_other_runtimes_say_what_to_do(runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("CMSA_CACHE", str(tmp_path))
    predictor = Predictor(model(), runtime=runtime, threads=1)
    sent = pickle.loads(pickle.dumps(predictor))
    predictor(PICTURE)
    told, _ = forked(predictor)
    assert f"{runtime} was used before this process was forked" in told
    assert "spawn" in told
    # Before its first use it can be sent to another process, afterwards it says that it cannot.
    np.testing.assert_allclose(sent(PICTURE)[0].probabilities, predictor(PICTURE)[0].probabilities, atol=1e-6)
    with pytest.raises(TypeError, match="make a new one there"):
        pickle.dumps(predictor)
