"""Constants are copied to a device once."""

import torch

from cmsa.geometry.constants import constant


def test_it_is_made_once_for_each_kind():
    like = torch.zeros(2)
    first = constant((1, 2.5), like)
    assert first.tolist() == [1, 2.5]
    assert first.dtype == torch.float32
    assert constant([1, 2.5], like) is first
    assert constant((1, 2.5), like.double()).dtype == torch.float64
    assert constant((0, 1), like, torch.long).dtype == torch.long
    assert constant((0, 1), torch.zeros(2, device="meta")).device.type == "meta"


def test_one_made_for_a_prediction_serves_a_training_step():
    with torch.inference_mode():
        made = constant((3.25, 4.0), torch.zeros(1))
    weight = torch.ones(2, requires_grad=True)
    (weight * made).sum().backward()
    assert weight.grad.tolist() == [3.25, 4.0]


def test_a_traced_one_is_not_kept():
    class Scaled(torch.nn.Module):
        def forward(self, x):
            return x * constant((7.5, 8.0), x)

    program = torch.export.export(Scaled(), (torch.ones(3, 2),)).module()
    assert program(torch.ones(3, 2))[0].tolist() == [7.5, 8.0]
    assert type(constant((7.5, 8.0), torch.ones(1))) is torch.Tensor
