import math

import pytest
import torch

from cmsa.tasks.classification import ClassificationTask


def test_targets_are_smoothed() -> None:
    targets = ClassificationTask(4, 0.1).encode({"label": torch.tensor([2, 0])})["probabilities"]
    expected = [[0.025, 0.025, 0.925, 0.025], [0.925, 0.025, 0.025, 0.025]]
    torch.testing.assert_close(targets, torch.tensor(expected))


def test_loss_by_hand() -> None:
    task = ClassificationTask(3)
    targets = task.encode({"label": torch.tensor([1])})
    assert task.loss(torch.zeros(1, 3), targets).item() == pytest.approx(math.log(3))
    output = torch.tensor([[0.0, 2.0, 0.0]])
    assert task.loss(output, targets).item() == pytest.approx(math.log(2 + math.exp(2)) - 2)
    soft = {"probabilities": torch.tensor([[0.5, 0.5, 0.0]])}
    assert task.loss(output, soft).item() == pytest.approx(math.log(2 + math.exp(2)) - 1)


def test_loss_is_that_of_pytorch(generator: torch.Generator) -> None:
    output, label = torch.randn(8, 5, generator=generator), torch.arange(8) % 5
    expected = torch.nn.functional.cross_entropy(output, label, label_smoothing=0.1)
    task = ClassificationTask(5, 0.1)
    torch.testing.assert_close(task.loss(output, task.encode({"label": label})), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(task.loss(output, task.encode({"label": label})), expected)


def test_decoding() -> None:
    (probabilities,) = ClassificationTask(2).decode(torch.tensor([[math.log(3), 0.0]]))
    torch.testing.assert_close(probabilities, torch.tensor([[0.75, 0.25]]))


def test_impossible_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one class"):
        ClassificationTask(0)
    with pytest.raises(ValueError, match="label_smoothing"):
        ClassificationTask(3, 1.0)
    with pytest.raises(ValueError, match="there are 3 classes, and names for 2"):
        ClassificationTask(3, names=("cup", "cat"))
