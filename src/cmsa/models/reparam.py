"""Train-time multi-branch convolutions; each block fuses itself (RepVGG, arXiv 2101.03697).

Shapes: x is (B, C, H, W), in channels-last memory where the caller keeps it so.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def norm_scale_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """A BatchNorm in eval mode as ``scale * x + shift``, both (C,)."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a BatchNorm without running statistics cannot be folded")
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def convolution_from(weight: Tensor, bias: Tensor, like: nn.Conv2d) -> nn.Conv2d:
    """A convolution with the stride, padding and groups of ``like`` and the given weight and bias."""
    fused = copy.deepcopy(like)
    fused.weight = nn.Parameter(weight.detach().clone())
    fused.bias = nn.Parameter(bias.detach().clone())
    return fused.eval()


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``conv(x)``, around a slow kernel.

    In bf16 on CPUs, the gradient of a depth-wise convolution of stride 2 takes oneDNN 5 to 10 times as long as that
    of stride 1, which does four times its work: there, every second pixel is taken of what goes in or comes out.
    """
    slow = conv.groups > 1 and conv.stride == (2, 2) and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    if not (slow and torch.is_grad_enabled()):
        return conv(x)  # type: ignore[no-any-return]
    if conv.kernel_size == (1, 1):
        return F.conv2d(x[:, :, ::2, ::2], conv.weight, conv.bias, groups=conv.groups)
    return F.conv2d(x, conv.weight, conv.bias, padding=conv.padding, groups=conv.groups)[:, :, ::2, ::2]


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/stride, W/stride)."""
        return self.norm(convolve(self.conv, x))  # type: ignore[no-any-return]

    def kernel_and_bias(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the equivalent convolution."""
        scale, shift = norm_scale_shift(self.norm)
        return self.conv.weight * scale[:, None, None, None], shift

    def fuse(self) -> nn.Conv2d:
        """The equivalent convolution."""
        return convolution_from(*self.kernel_and_bias(), like=self.conv)


class RepConv(nn.Module):
    """Sum of parallel branches that fuse into one convolution.

    Branches: kernel x kernel conv-BN; 1x1 conv-BN when the kernel is larger than 1; BN alone when input and output
    have the same shape.

    Args:
        in_channels, out_channels: channels.
        kernel: odd kernel size.
        stride: 1 or 2.
        groups: 1, or ``in_channels`` for a depth-wise convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, out_channels, kernel, stride, groups)
        self.point = ConvNorm(in_channels, out_channels, 1, stride, groups) if kernel > 1 else None
        self.identity = nn.BatchNorm2d(out_channels) if in_channels == out_channels and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/stride, W/stride)."""
        out: Tensor = self.conv(x)
        if self.point is not None:
            out = out + self.point(x)
        if self.identity is not None:
            out = out + self.identity(x)
        return out

    def fuse(self) -> nn.Conv2d:
        """The equivalent convolution."""
        weight, bias = self.conv.kernel_and_bias()
        middle = weight.shape[2] // 2
        if self.point is not None:
            point, shift = self.point.kernel_and_bias()
            weight, bias = weight.clone(), bias + shift
            weight[:, :, middle, middle] += point[:, :, 0, 0]
        if self.identity is not None:
            scale, shift = norm_scale_shift(self.identity)
            channels = torch.arange(weight.shape[0], device=weight.device)
            weight, bias = weight.clone(), bias + shift
            weight[channels, channels % weight.shape[1], middle, middle] += scale
        return convolution_from(weight, bias, like=self.conv.conv)


class ResidualDepthwise(nn.Module):
    """``x + BN(depth-wise 3x3(x))``: the token mixing of spatial fusion."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = ConvNorm(channels, channels, 3, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.branch(x)  # type: ignore[no-any-return]

    def fuse(self) -> nn.Conv2d:
        """The equivalent depth-wise convolution."""
        weight, bias = self.branch.kernel_and_bias()
        weight = weight.clone()
        weight[:, 0, 1, 1] += 1
        return convolution_from(weight, bias, like=self.branch.conv)
