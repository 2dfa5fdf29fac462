"""What a network costs on paper: parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """What a network costs on paper, for one image.

    Attributes:
        parameters: as trained.
        multiply_adds: of convolutions and linear layers, of the network that is run.
        with_attention: those and the products of queries, keys and values.
    """

    parameters: int
    multiply_adds: int
    with_attention: int


@torch.no_grad()
def cost_of(trained: nn.Module, run: nn.Module, size: tuple[int, int]) -> Cost:
    """Count a network's parameters, and the multiply-adds of what is run, for images (3, H, W)."""
    linear = 0

    def count(module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
        nonlocal linear
        if isinstance(module, nn.ConvTranspose2d):
            linear += inputs[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear | nn.Conv2d):
            linear += output.numel() * module.weight[0].numel()

    handles = [part.register_forward_hook(count) for part in run.modules() if not list(part.children())]
    # The explicit products are counted; fused attention kernels are counted differently from one to the next.
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as flops:
        run(torch.zeros(1, 3, *size))
    for handle in handles:
        handle.remove()
    products = flops.get_flop_counts()["Global"]
    attention = sum(count for operator, count in products.items() if "bmm" in str(operator)) // 2
    parameters = sum(parameter.numel() for parameter in trained.parameters())
    return Cost(parameters, linear, linear + attention)
