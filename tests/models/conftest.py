"""Networks with numbers that make every part of them count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cmsa.models import CMSA
from cmsa.models.heads.maps import MixerFusion
from cmsa.models.registry import VARIANTS


@pytest.fixture
def randomised(generator: torch.Generator, randomise: Callable[..., None]) -> Callable[[nn.Module], nn.Module]:
    """Makes any module a float64 one in eval mode with random numbers in it."""

    def build(module: nn.Module) -> nn.Module:
        module.double()
        randomise(module, generator)
        return module.eval()

    return build


@pytest.fixture
def network(generator: torch.Generator, randomise: Callable[..., None]) -> Callable[..., CMSA]:
    """Builds a variant with :class:`MixerFusion`, in eval mode, float32, random numbers in it."""

    def build(variant: str = "cmsa_n", input_size: tuple[int, int] = (32, 24), **options: Any) -> CMSA:
        torch.manual_seed(0)
        model = CMSA(input_size=input_size, **VARIANTS[variant] | options)
        model.head = MixerFusion(model.dims, 17)
        randomise(model, generator)
        return model.eval()

    return build


@pytest.fixture
def images(generator: torch.Generator) -> Callable[..., torch.Tensor]:
    """Normalised images (count, 3, H, W) of noise."""

    def build(count: int, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.randn(count, 3, *size, generator=generator, dtype=torch.float64).to(dtype)

    return build
