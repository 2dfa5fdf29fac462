"""Predictors give the same values in every runtime."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from cmsa.export import converted, export
from cmsa.export.converted import ConvertedNetwork, cache_folder, fingerprint, network_for
from cmsa.inference.predictor import Predictor
from cmsa.models import create_model
from cmsa.runtime import sessions
from cmsa.runtime.sessions import available_runtimes, open_exported

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
    # Of few operations, because a runtime is looked at here, and every conversion takes its time by their number.
    return create_model("cmsa_n", task, size, depths=(1, 1, 1), attention="standard").eval()


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


def products(folder, size=48, layers=30):
    """An ONNX file that multiplies rows (B, size) by matrices, which takes a while; returns the whole product."""
    import onnx

    numbers = np.random.default_rng(0)
    matrices = [np.linalg.qr(numbers.normal(size=(size, size)))[0].astype(np.float32) for _ in range(layers)]
    names = ["images", *(f"x{layer}" for layer in range(layers))]
    nodes = [onnx.helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(layers)]
    rows = [onnx.helper.make_tensor_value_info(name, 1, ["batch", size]) for name in (names[0], names[-1])]
    weights = [onnx.numpy_helper.from_array(matrix, f"w{i}") for i, matrix in enumerate(matrices)]
    graph = onnx.helper.make_graph(nodes, "products", rows[:1], rows[1:], weights)
    onnx.save_model(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), folder
    )
    return np.linalg.multi_dot(matrices)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_threads_get_their_own_answers(runtime, tmp_path):
    """Threads with inputs that differ share a network, and each call returns what it alone would have."""
    product = products(tmp_path / "products.onnx")
    network = open_exported(tmp_path / "products.onnx", threads=1, runtime=runtime)
    inputs = np.random.default_rng(1).normal(size=(3, 200, 48)).astype(np.float32)

    def wrong(place):
        found = [network(torch.from_numpy(inputs[place])).numpy() for _ in range(100)]
        return sum(not np.allclose(one, inputs[place] @ product, atol=1e-3) for one in found)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(wrong, range(3))) == [0, 0, 0]


@pytest.mark.parametrize("name", ["broken.onnx", "broken.xml", "broken.pt2"])
@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04 half an archive"])
def test_a_damaged_file_is_told(name, content, tmp_path, caplog):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: cannot be opened, it may be damaged") as told:
        open_exported(tmp_path / name)
    assert "\n" not in str(told.value)
    assert not caplog.records


@pytest.mark.slow
def test_threads_convert_a_model_once(picture, monkeypatch):
    from cmsa.export import export

    calls = []
    monkeypatch.setattr("cmsa.export.export", lambda *arguments: calls.append(export(*arguments)))
    predictor = Predictor(model("classification", (16, 16)), runtime="openvino", threads=1)
    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(lambda _: predictor(picture), range(4)))) == 4
    assert len(calls) == 1


@pytest.mark.slow
@pytest.mark.parametrize("damage", [pytest.param(b"", marks=pytest.mark.exhaustive), b"nonsense"])
def test_a_damaged_file_of_the_cache_is_made_anew(damage, picture, cache, caplog):
    network = model("classification", (16, 16))
    expected = Predictor(network)(picture)[0].probabilities
    cache.mkdir()
    file = cache / f"{fingerprint(network)}.xml"
    file.write_bytes(damage)
    found = Predictor(network, runtime="openvino", threads=1)(picture)[0].probabilities
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert f"{file}: is damaged, and made anew" in caplog.text
    assert file.stat().st_size > 1000


@pytest.mark.slow
def test_a_predictor_computes_with_an_exported_file_of_its_model(picture, tmp_path):
    network = model()
    path = export(network, tmp_path / "model.onnx").path
    expected = Predictor(network)(picture, BOXES)
    found = Predictor(network, exported=path, runtime=None)(picture, BOXES)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.xy, other.xy, atol=0.05)
    with pytest.raises(ValueError, match=r"was exported from cmsa_n for pose at 16x24, the weights are .* at 24x16"):
        Predictor(model(size=(24, 16)), exported=path)
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        Predictor(network, exported=tmp_path / "none.onnx")


@pytest.mark.parametrize("damage", [{"model": [1]}, {"model": {}}, {"model": None}, {"input": 3}])
def test_a_file_that_says_no_model_is_told(monkeypatch, damage):
    network = model("classification", (16, 16))
    entries = {"model": json.loads(json.dumps(asdict(network.description))), "decoded_in_graph": False, "input": {}}
    monkeypatch.setattr(converted, "read_constants", lambda path: entries | damage)
    with pytest.raises(ValueError, match=r"^x\.onnx: what it says of its model is damaged \("):
        converted.open_exported_of("x.onnx", network.description)


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"names": ("cat", "dog")}, "names"),
        ({"options": {"num_classes": 2}, "mean": (0.0, 0.0, 0.0)}, "options, mean"),
        ({"training": {"epoch": 7, "scores": {"val/top1": math.nan}}}, "training"),
        ({}, None),
    ],
)
def test_a_file_of_other_weights_of_the_same_model_is_refused(monkeypatch, changes, differing):
    network = model("classification", (16, 16))
    network.description = replace(network.description, training={"epoch": 3, "scores": {"val/top1": math.nan}})
    there = json.loads(json.dumps(asdict(replace(network.description, **changes))))
    entries = {"model": there, "decoded_in_graph": True, "input": {"normalised_in_graph": False}}
    monkeypatch.setattr(converted, "read_constants", lambda path: entries)
    told = (
        rf"x\.onnx: was exported from other weights than these: their {differing} differ$" if differing else "--decode"
    )
    with pytest.raises(ValueError, match=told):
        converted.open_exported_of("x.onnx", network.description)


def test_bf16_is_refused_where_the_machine_has_none(monkeypatch):
    monkeypatch.setattr(sessions, "has_bf16", lambda: False)
    with pytest.raises(ValueError, match="OpenVINO does not compute in bf16 on this machine"):
        network_for(model(), "openvino", precision="bf16")
