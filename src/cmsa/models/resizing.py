"""Checkpoints of another input size: their bias tables are resized as they are loaded."""

from __future__ import annotations

import logging
from typing import Any

from torch import Tensor, nn

from cmsa.models.attention import WindowAttention
from cmsa.models.windows import resize_bias

logger = logging.getLogger(__name__)


def fit_bias_tables(model: nn.Module, tensors: dict[str, Tensor], prefix: str = "", *_: Any) -> None:
    """Resize the bias tables in ``tensors`` to those of ``model``, in place, and log that it was done.

    Args:
        model: whose tables' sizes count. It serves as a pre-hook of ``load_state_dict``.
        tensors: a state dict.
        prefix: of the model's keys in it.
    """
    resized = []
    for name, module in model.named_modules():
        key = f"{prefix}{name}.table"
        if not isinstance(module, WindowAttention) or key not in tensors:
            continue
        before, wanted = tensors[key].shape, module.table.shape
        if before != wanted and len(before) == 3 and before[0] == wanted[0]:
            tensors[key] = resize_bias(tensors[key], (wanted[1], wanted[2]))
            resized.append(f"{tuple(before[1:])} to {tuple(wanted[1:])}")
    if resized:
        logger.warning("weights of another input size: %d bias tables resized, the first %s", len(resized), resized[0])
