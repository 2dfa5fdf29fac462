"""Branches and their fusions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cmsa.models.reparam import ConvNorm, RepConv, ResidualDepthwise, convolve, norm_scale_shift


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_norm_scale_shift_is_the_norm_in_eval_mode(randomised, generator):
    norm = randomised(nn.BatchNorm2d(5))
    x = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64)
    scale, shift = norm_scale_shift(norm)
    torch.testing.assert_close(x * scale[:, None, None] + shift[:, None, None], norm(x), rtol=0, atol=1e-12)


def test_a_norm_without_statistics_cannot_be_folded():
    with pytest.raises(ValueError, match="without running statistics"):
        norm_scale_shift(nn.BatchNorm2d(3, track_running_stats=False))


@pytest.mark.parametrize(
    ("block", "channels"),
    [
        (ConvNorm(6, 8, 1), 6),
        (ConvNorm(6, 6, 3, groups=6), 6),
        (ConvNorm(6, 4, 3, stride=2, groups=2), 6),
        (RepConv(6, 6, 3, groups=6), 6),
        (RepConv(6, 6, 3, stride=2, groups=6), 6),
        (RepConv(6, 6, 3, groups=2), 6),
        (RepConv(6, 6, 1), 6),
        (RepConv(6, 8, 1), 6),
        (RepConv(6, 8, 3), 6),
        (ResidualDepthwise(6), 6),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_fused_convolution_computes_the_same(block, channels, randomised, generator):
    block = randomised(block)
    x = torch.randn(2, channels, 7, 5, generator=generator, dtype=torch.float64)
    fused = block.fuse()
    assert type(fused) is nn.Conv2d
    assert fused.weight.dtype == torch.float64
    with torch.no_grad():
        torch.testing.assert_close(fused(x), block(x), rtol=0, atol=1e-11)


def test_branches_are_those_that_the_shapes_allow():
    depthwise = parameters(RepConv(8, 8, 3, groups=8))
    strided = parameters(RepConv(8, 8, 3, stride=2, groups=8))
    assert depthwise == 8 * 9 + 8 + 3 * 2 * 8
    assert strided == depthwise - 2 * 8
    assert parameters(RepConv(8, 8, 1)) == 64 + 2 * 2 * 8
    assert parameters(RepConv(8, 4, 1)) == 32 + 2 * 4


def test_the_sum_of_branches_by_hand():
    block = RepConv(1, 1, 3).double().eval()
    nn.init.constant_(block.conv.conv.weight, 1.0)
    nn.init.constant_(block.point.conv.weight, 10.0)
    nn.init.constant_(block.identity.weight, 100.0)
    unit = (1 + 1e-5) ** -0.5
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], dtype=torch.float64)
    expected = unit * (10 + 10 * x + 100 * x)
    torch.testing.assert_close(block(x), expected)
    torch.testing.assert_close(block.fuse()(x), expected)
    torch.testing.assert_close(block.fuse().weight[0, 0, 1, 1].item(), unit * 111)


def test_fusing_leaves_the_block_alone(randomised):
    block = randomised(RepConv(4, 4, 3, groups=4))
    before = {name: value.clone() for name, value in block.state_dict().items()}
    block.fuse().weight.data.zero_()
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())


@pytest.mark.parametrize(("kernel", "size"), [(3, (7, 5)), (3, (6, 8)), (1, (7, 5)), (1, (6, 8))])
def test_the_way_around_the_slow_kernel_is_the_same_convolution(kernel, size, generator):
    conv = nn.Conv2d(16, 16, kernel, 2, kernel // 2, groups=16, bias=False)
    x = torch.randn(2, 16, *size, generator=generator, requires_grad=True)

    def result_and_gradients(run):
        x.grad = conv.weight.grad = None
        with torch.autocast("cpu", torch.bfloat16):
            out = run(x)
        out.float().square().sum().backward()
        return out.float(), x.grad, conv.weight.grad

    for found, expected in zip(
        result_and_gradients(lambda x: convolve(conv, x)), result_and_gradients(conv), strict=True
    ):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
