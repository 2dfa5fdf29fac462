"""Whether a run can go on from its checkpoint, found out before anything of the run is written."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cmsa.guidance.counts import first_of
from cmsa.guidance.errors import first_line
from cmsa.models.weights import misfits
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
        own = module.state_dict()
        differing = [name for names in misfits(own, content["state_dict"]) for name in names]
    except Exception as error:  # PyTorch has many kinds of errors for damaged files
        raise ValueError(
            f"{path}: cannot be read, it is damaged or no checkpoint of cmsa train ({first_line(error)})"
        ) from error
    if differing:
        raise ValueError(
            f"{path}: is of another network than the recipe's, {len(differing)} of {len(own)} tensors differ "
            f"({first_of(differing, _NAMED)}): go on with the recipe that the run began with, or train into another "
            "folder"
        )
    return position
