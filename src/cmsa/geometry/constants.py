"""Numbers as tensors on a device, copied there once: a copy in each training step would make a GPU wait."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def constant(numbers: Sequence[float], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers as a tensor (n,), not to be written to.

    Args:
        numbers: n of them.
        like: gives the device, and the precision where ``dtype`` does not.
        dtype: e.g. ``torch.long`` for indices.
    """
    kind = dtype or like.dtype
    if torch.compiler.is_compiling():
        # What is traced is no tensor to keep, and becomes a constant of the graph.
        return torch.tensor(list(numbers), dtype=kind, device=like.device)
    return _constant(tuple(numbers), kind, like.device)


@lru_cache(maxsize=1024)
def _constant(numbers: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    # Made under inference mode, it could not take part in a training step later.
    with torch.inference_mode(False):
        return torch.tensor(numbers, dtype=dtype, device=device)
