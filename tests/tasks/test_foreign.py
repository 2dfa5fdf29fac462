from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.head_pose import HeadPoseTask

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def save(path: Path, nodes: list, numbers: int | str, constants: tuple = ()) -> Path:
    """A network of images whose file says that it puts out so many numbers."""
    helper = onnx.helper
    image = helper.make_tensor_value_info("images", 1, ["batch", 3, 6, 8])
    output = helper.make_tensor_value_info("output", 1, ["batch", numbers])
    graph = helper.make_graph(nodes, "made", [image], [output], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture
def means(tmp_path: Path) -> Path:
    """A network that says the three channels' means."""
    make = onnx.helper.make_node
    nodes = [make("GlobalAveragePool", ["images"], ["pooled"]), make("Flatten", ["pooled"], ["output"])]
    return save(tmp_path / "means.onnx", nodes, 3)


def test_another_number_of_classes_is_told_when_the_file_is_opened(means: Path) -> None:
    crops = torch.zeros(2, 6, 8, 3, dtype=torch.uint8)
    assert ClassificationTask(3).open_foreign(means)(crops)[0].shape == (2, 3)
    with pytest.raises(ValueError, match=r"means\.onnx: the output must be \(B, 10\), it is \(\?, 3\)"):
        ClassificationTask(10).open_foreign(means)


def test_another_number_of_classes_is_told_by_the_first_answer_if_the_file_does_not(tmp_path: Path) -> None:
    make = onnx.helper.make_node
    # How many numbers Compress leaves no runtime says before.
    three = onnx.helper.make_tensor("three", onnx.TensorProto.BOOL, [3], [True] * 3)
    nodes = [make("Flatten", ["images"], ["flat"]), make("Compress", ["flat", "three"], ["output"], axis=1)]
    path = save(tmp_path / "first.onnx", nodes, "numbers", (three,))
    crops = torch.zeros(2, 6, 8, 3, dtype=torch.uint8)
    assert ClassificationTask(3).open_foreign(path)(crops)[0].shape == (2, 3)
    network = ClassificationTask(10).open_foreign(path)
    with pytest.raises(ValueError, match=r"first\.onnx: the output must be \(B, 10\), it is \(2, 3\)"):
        network(crops)


def test_angles_are_three(means: Path) -> None:
    assert HeadPoseTask().open_foreign(means)(torch.zeros(2, 6, 8, 3, dtype=torch.uint8))[0].shape == (2, 3)
