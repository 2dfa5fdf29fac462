"""Small models with random weights for export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cmsa.models import CMSA, create_model


def _make_it_count(model: CMSA) -> CMSA:
    generator = torch.Generator().manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.5, generator=generator)
            part.running_var.uniform_(1, 4, generator=generator)
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.bias.data.normal_(0, 0.5, generator=generator)
        if isinstance(getattr(part, "table", None), nn.Parameter):
            part.table.data.normal_(0, 1, generator=generator)
    return model.eval()


@pytest.fixture(scope="session")
def trained_like() -> Callable[[CMSA], CMSA]:
    """Puts a model in eval mode, with statistics and biases in it that make every part count."""
    return _make_it_count


@pytest.fixture(scope="session")
def small() -> Callable[..., CMSA]:
    """Builds a CMSA-N of one block in each stage."""

    def build(task: str = "pose", size: tuple[int, int] = (16, 24), **options: Any) -> CMSA:
        torch.manual_seed(0)
        return _make_it_count(create_model("cmsa_n", task, size, depths=(1, 1, 1), **options))

    return build
