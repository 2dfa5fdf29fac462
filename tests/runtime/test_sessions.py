"""Predictors give the same values in every runtime."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmsa.export.converted import ConvertedNetwork, cache_folder, fingerprint, network_for
from cmsa.inference.predictor import Predictor
from cmsa.models import create_model
from cmsa.runtime.sessions import available_runtimes

BOXES = [[10, 20, 48, 64], [60, 5, 30, 70]]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CMSA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def picture():
    rows, columns = np.mgrid[:90, :140]
    waves = np.stack([np.sin(rows / 7), np.cos(columns / 9), np.sin((rows + columns) / 11)], axis=2)
    return np.rint(127 + 100 * waves).astype(np.uint8)


def model(task="pose", size=(16, 24)):
    torch.manual_seed(0)
    return create_model("cmsa_n", task, size, depths=(1, 1, 1)).eval()


@pytest.mark.parametrize("runtime", [pytest.param("onnxruntime", marks=pytest.mark.slow), "openvino"])
def test_same_keypoints(runtime, picture, cache):
    network = model()
    expected = Predictor(network)(picture, BOXES, flip_test=True)
    predictor = Predictor(network, runtime=runtime, threads=1)
    assert not cache.exists(), "converted before it was needed"
    found = predictor(picture, BOXES, flip_test=True)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.xy, other.xy, atol=0.05)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-3, atol=1e-4)
    assert [path.stem for path in cache.iterdir() if path.suffix in {".onnx", ".xml"}] == [fingerprint(network)]


@pytest.mark.slow
def test_a_model_is_converted_once(picture, cache, monkeypatch):
    network = model("classification", (16, 16))
    first = Predictor(network, runtime="openvino")(picture)[0]
    monkeypatch.setattr("cmsa.export.export", lambda *_: pytest.fail("converted again"))
    again = Predictor(network, runtime="openvino")(picture)[0]
    np.testing.assert_array_equal(first.probabilities, again.probabilities)


def test_other_weights_are_another_model():
    one, other = model(), model()
    assert fingerprint(one) == fingerprint(other)
    next(other.parameters()).data[0] += 1
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(model("pose", (24, 16))) != fingerprint(one)


def test_later_changes_of_the_model_do_not_count():
    network = model()
    converted = network_for(network, "onnxruntime")
    before = fingerprint(network)
    next(network.parameters()).data.zero_()
    assert isinstance(converted, ConvertedNetwork)
    assert converted.model is not None
    assert fingerprint(converted.model) == before


def test_the_fastest_runtime_is_taken_on_a_cpu():
    converted = network_for(model())
    assert isinstance(converted, ConvertedNetwork)
    assert converted.runtime == available_runtimes()[0] == "openvino"


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match="no runtime 'tensorrt'"):
        network_for(model(), "tensorrt")
    with pytest.raises(ValueError, match="openvino runs on the CPU, not on meta"):
        network_for(model(), "openvino", "meta")


def test_the_cache_is_in_the_home_by_default(monkeypatch):
    monkeypatch.delenv("CMSA_CACHE")
    assert cache_folder().parts[-2:] == (".cache", "cmsa")
