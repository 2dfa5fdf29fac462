"""Maps of a backbone that halves, for every head."""

from __future__ import annotations

import pytest
import torch

DIMS = (4, 6, 8)


@pytest.fixture(params=[((8, 6), (4, 3), (2, 2)), ((9, 7), (5, 4), (3, 2))], ids=["even", "odd"])
def maps(request, generator):
    return [torch.randn(2, dim, *size, generator=generator) for dim, size in zip(DIMS, request.param, strict=True)]
