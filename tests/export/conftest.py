"""Small models with random weights for export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cmsa.models import CMSA, create_model


@pytest.fixture(scope="session")
def trained_like(randomise: Callable[..., None]) -> Callable[[CMSA], CMSA]:
    """Puts a model in eval mode, with statistics and biases in it that make every part count."""

    def make(model: CMSA) -> CMSA:
        randomise(model, torch.Generator().manual_seed(0), spread=0.5)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def small(trained_like: Callable[[CMSA], CMSA]) -> Callable[..., CMSA]:
    """Builds a CMSA-N of one block in each stage."""

    def build(task: str = "pose", size: tuple[int, int] = (16, 24), **options: Any) -> CMSA:
        torch.manual_seed(0)
        return trained_like(create_model("cmsa_n", task, size, depths=(1, 1, 1), **options))

    return build
