from types import SimpleNamespace

import pytest
import torch

from cmsa.benchmark import parts
from cmsa.benchmark.parts import find_operators, find_parts, in_words


class FakeStep:
    """Takes 2 seconds forward, 4 backward and 1 to update, by its own clock."""

    images = torch.zeros(1)
    clock = 0.0

    def forward(self):
        self.clock += 2
        return torch.ones(())

    def backward(self, loss):
        assert loss.item() == 1
        self.clock += 4

    def update(self):
        self.clock += 1

    def wait(self):
        pass


def test_parts_are_shares_of_the_whole(monkeypatch):
    step = FakeStep()
    monkeypatch.setattr(parts, "time", SimpleNamespace(perf_counter=lambda: step.clock))

    def augment():
        step.clock += 3

    found = find_parts(augment, step, rounds=2)
    assert (found.augmentation, found.forward, found.backward, found.optimizer) == pytest.approx((0.3, 0.2, 0.4, 0.1))
    assert "ones" in {name for name, _ in found.operators}


def test_the_operator_that_takes_longest_comes_first():
    # Large enough that a busy machine does not make the quick one the longest.
    matrix = torch.randn(1000, 1000)
    operators = find_operators(lambda: (matrix @ matrix @ matrix).relu(), on_gpu=False)
    assert operators[0][0] == "mm"
    assert operators[0][1] > 0.5
    assert len(operators) == 3
    assert 0.5 < sum(share for _, share in operators) <= 1 + 1e-9


def test_names_in_words():
    assert in_words("aten::convolution_backward") == "convolution backward"
    assert in_words("aten::copy_") == "copy"
    assert in_words("aten::_softmax") == "softmax"
