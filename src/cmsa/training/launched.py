"""Which processes a training has, where torchrun has started them already."""

from __future__ import annotations

import os

import torch


def by_torchrun() -> bool:
    """Whether torchrun started this process; else Lightning starts those that are missing."""
    return bool(torch.distributed.is_available() and torch.distributed.is_torchelastic_launched())


def devices_and_nodes(devices: int | str) -> tuple[int | str, int]:
    """Processes on this machine, and machines.

    Args:
        devices: as asked for; 1 and ``auto`` are as many as torchrun has started, if it has.

    Raises:
        ValueError: torchrun has started another number.
    """
    if not by_torchrun():
        return devices, 1
    started, nodes = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["GROUP_WORLD_SIZE"])
    if devices not in (1, "auto", started):
        raise ValueError(f"devices is {devices}, torchrun has started {started} processes here: leave it out")
    return started, nodes
