"""Packed stores as a PyTorch dataset that hands out whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cmsa.data.store import CropStore


class StoreDataset(Dataset[dict[str, Tensor]]):
    """Several stores of one kind in a row.

    Raises:
        ValueError: the stores differ in their crop specification, or there is none.
    """

    def __init__(self, stores: Sequence[CropStore]) -> None:
        if not stores:
            raise ValueError("no crop store was given")
        for store in stores[1:]:
            if store.spec != stores[0].spec:
                raise ValueError(f"{store.folder} was cut as {store.spec}, {stores[0].folder} as {stores[0].spec}")
        self.stores = list(stores)
        self.starts = np.cumsum([0] + [len(store) for store in stores])
        names = [set(store.read([0])) if len(store) else set() for store in stores]
        self.names = set.intersection(*names)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        # PyTorch's loader prefers this method: one read per store instead of one per sample.
        chosen = np.asarray(indices)
        owner = np.searchsorted(self.starts, chosen, side="right") - 1
        parts = [self.stores[number].read(chosen[owner == number] - self.starts[number]) for number in np.unique(owner)]
        order = torch.from_numpy(np.argsort(np.argsort(owner, kind="stable"), kind="stable"))
        return {name: torch.cat([part[name] for part in parts])[order] for name in sorted(self.names)}


def _as_is(batch: Any) -> Any:
    return batch


def store_loader(
    stores: Sequence[CropStore], batch_size: int, *, training: bool, workers: int = 0
) -> DataLoader[dict[str, Tensor]]:
    """Loader of batches of crops and labels; shuffled, without the last short batch, for training."""
    return DataLoader(
        StoreDataset(stores),
        batch_size=batch_size,
        shuffle=training,
        drop_last=training,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        collate_fn=_as_is,
    )
