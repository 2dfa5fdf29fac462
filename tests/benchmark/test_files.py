"""Networks of others as files: what is read of them, and that they run."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cmsa.benchmark.files import open_file, read_network
from cmsa.cli.main import main


def made(path, *, batch="batch", written=False, shape=(16, 12), type=TensorProto.FLOAT, layout="NCHW"):
    """A small network: convolution of stride 2, depth-wise one, tokens, their products, a product with weights.

    ``written`` writes the number of images into the graph.
    """
    random = np.random.default_rng(0)
    height, width = (side // 2 for side in shape)
    count = batch if written else 0
    weights = {
        "w": random.standard_normal((8, 3, 3, 3)).astype(np.float32),
        "d": random.standard_normal((8, 1, 3, 3)).astype(np.float32),
        "m": random.standard_normal((8, 5)).astype(np.float32),
        "s": np.array([count, 8, height * width], np.int64),
    }
    taken = (batch, 3, *shape) if layout == "NCHW" else (batch, *shape, 3)
    first = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)]
    if layout == "NHWC":
        first.append(helper.make_node("Transpose", ["f"], ["i"], perm=[0, 3, 1, 2]))
    nodes = [
        *first,
        helper.make_node("Conv", ["f" if layout == "NCHW" else "i", "w"], ["a"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Conv", ["a", "d"], ["b"], pads=[1] * 4, group=8),
        helper.make_node("Reshape", ["b", "s"], ["t"]),
        helper.make_node("Transpose", ["t"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["k", "t"], ["c"]),
        helper.make_node("MatMul", ["c", "k"], ["v"]),
        helper.make_node("MatMul", ["v", "m"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", type, taken)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (batch, height * width, 5))],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def test_parameters_and_multiply_adds_are_counted(tmp_path):
    network = read_network(made(tmp_path / "small.onnx"))
    assert (network.name, network.size, network.layout, network.batch) == ("small", (16, 12), "NCHW", None)
    assert (network.type, network.precision) == ("float32", "float32")
    pixels = 8 * 6
    assert network.cost.parameters == 8 * 27 + 8 * 9 + 8 * 5
    assert network.cost.multiply_adds == pixels * (8 * 27 + 8 * 9 + 8 * 5)
    assert network.cost.with_attention - network.cost.multiply_adds == 2 * pixels * pixels * 8


@pytest.mark.parametrize("batch", ["batch", 1, 2])
@pytest.mark.parametrize("written", [False, True])
def test_any_number_of_images_goes(batch, written, tmp_path):
    if written and batch == "batch":
        pytest.skip("there is no number to write")
    network = read_network(made(tmp_path / "small.onnx", batch=batch, written=written))
    assert network.cost == read_network(made(tmp_path / "other.onnx")).cost
    engines = open_file(network, ["torch", "onnxruntime", "openvino"], ["float32"], 5, 1)
    assert [(engine.runtime, engine.precision) for engine in engines] == [
        ("onnxruntime", "float32"),
        ("openvino", "float32"),
    ]
    for engine in engines:
        assert sum(_images(result) for result in engine.many()) >= 5
        assert sum(_images(result) for result in engine.one()) in (1, 2)


def _images(result):
    """The number of images of a runtime's outputs: a list of arrays, or OpenVINO's results by port."""
    return len(result[0])


def test_pixels_and_channels_last(tmp_path):
    network = read_network(made(tmp_path / "pixels.onnx", type=TensorProto.UINT8, layout="NHWC"))
    assert (network.layout, network.type, network.size) == ("NHWC", "uint8", (16, 12))
    images = network.images(2)
    assert (images.shape, images.dtype) == ((2, 16, 12, 3), np.uint8)
    assert images.max() > 200
    (engine,) = open_file(network, ["openvino"], ["float32"], 2, 1)
    engine.many()


def test_what_is_no_such_network_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no network"):
        read_network(tmp_path / "none.onnx")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match=r"ends in .onnx or .xml"):
        read_network(tmp_path / "a.txt")
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken.onnx: OpenVINO cannot read it"):
        read_network(tmp_path / "broken.onnx")
    with pytest.raises(ValueError, match=r"of a fixed size, it has \(\?, 3, \?, 12\)"):
        read_network(made(tmp_path / "any.onnx", shape=(16, 12)).with_name(_any_height(tmp_path / "any.onnx")))


def _any_height(path):
    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save_model(model, str(path.with_name("height.onnx")))
    return "height.onnx"


@pytest.mark.slow
def test_a_file_stands_in_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    name = "a_network_with_a_name_that_is_longer_than_a_column_of_the_table"
    options = ["--variants", "--no-peers", "--peer", str(made(tmp_path / f"{name}.onnx")), "--out", str(tmp_path)]
    assert main(["benchmark", *options, "--batch", "2", "--threads", "1", "--rounds", "1"]) == 0
    rows = json.loads((tmp_path / "benchmark.json").read_text())["rows"]
    assert {row["name"] for row in rows} == {name}
    assert {("onnxruntime", "float32"), ("openvino", "float32")} <= {(row["runtime"], row["precision"]) for row in rows}
    assert all(row["throughput"] > 0 for row in rows)
    # The name is folded, not cut.
    cells = "".join(line[1 : 1 + len(name)].split(" ")[0] for line in capsys.readouterr().out.splitlines())
    assert name in cells


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(("name", "size"), [("tinypose_128_96", (128, 96)), ("tinypose_256_192", (256, 192))])
def test_tinypose(shared, name, size):
    network = read_network(shared / "models" / f"{name}.xml")
    assert (network.size, network.layout) == (size, "NCHW")
    # 1.3 M parameters, and 0.08 and 0.32 G multiply-adds, as its authors say.
    assert network.cost.parameters == pytest.approx(1.3e6, rel=0.05)
    assert network.cost.multiply_adds == pytest.approx(0.0794e9 * size[0] ** 2 / 128**2, rel=0.1)
    (engine,) = open_file(network, ["openvino", "onnxruntime"], ["float32"], 3, 1)
    # Heatmaps, and beside them where they are highest.
    (shapes,) = [[result.shape for result in part.values()] for part in engine.many()]
    assert shapes == [(3, 17, size[0] // 4, size[1] // 4), (3, 17)]
