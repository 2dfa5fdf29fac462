"""Whether a run can go on from its checkpoint, found out before anything of the run is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cmsa.guidance.errors import first_line
from cmsa.training.position import Position, position_of

_NAMED = 3


def check_checkpoint(path: Path, module: nn.Module) -> Position:
    """Where a run goes on. Refuse a checkpoint that is damaged, or of another network than the recipe's.

    Args:
        path: of ``last.ckpt``.
        module: the ``TrainingModule`` that is to go on.

    Raises:
        ValueError: it is such a checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        position = position_of(content)
        tensors: Mapping[str, Any] = content["state_dict"]
        shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    except Exception as error:  # PyTorch has many kinds of errors for damaged files
        raise ValueError(
            f"{path}: cannot be read, it is damaged or no checkpoint of cmsa train ({first_line(error)})"
        ) from error
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    differing = sorted(name for name in own.keys() | shapes.keys() if own.get(name) != shapes.get(name))
    if differing:
        first = ", ".join(differing[:_NAMED]) + (", ..." if len(differing) > _NAMED else "")
        raise ValueError(
            f"{path}: is of another network than the recipe's, {len(differing)} of {len(own)} tensors differ ({first})"
            ": go on with the recipe that the run began with, or train into another folder"
        )
    return position
