from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmsa.models.description import Description
from cmsa.tasks import task_of
from cmsa.tasks.classification import ClassificationTask

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def means(tmp_path: Path) -> Path:
    """A network that says the three channels' means."""
    helper = onnx.helper
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["output"]),
    ]
    image = helper.make_tensor_value_info("images", 1, ["batch", 3, 6, 8])
    output = helper.make_tensor_value_info("output", 1, ["batch", 3])
    graph = helper.make_graph(nodes, "means", [image], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "means.onnx")
    return tmp_path / "means.onnx"


def test_another_number_of_classes_is_told_when_the_file_is_opened(means: Path) -> None:
    crops = torch.zeros(2, 6, 8, 3, dtype=torch.uint8)
    assert ClassificationTask(3).open_foreign(means)(crops)[0].shape == (2, 3)
    with pytest.raises(ValueError, match=r"means\.onnx: the output must be \(B, 10\), it is \(\?, 3\)"):
        ClassificationTask(10).open_foreign(means)


def test_angles_are_three(means: Path) -> None:
    task = task_of(Description("cmsa_n", "head_pose", (32, 32)), (32, 32))
    assert task.open_foreign(means)(torch.zeros(2, 6, 8, 3, dtype=torch.uint8))[0].shape == (2, 3)
