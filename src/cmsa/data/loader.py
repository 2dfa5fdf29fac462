"""Packed stores as a PyTorch dataset that hands out whole batches."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cmsa.data.store import CropStore
from cmsa.guidance.counts import count_of


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
        if len(parts) == 1:
            return {name: parts[0][name] for name in sorted(self.names)}
        order = torch.from_numpy(np.argsort(np.argsort(owner, kind="stable"), kind="stable"))
        return {name: torch.cat([part[name] for part in parts])[order] for name in sorted(self.names)}


def kept_count(count: int, fraction: float) -> int:
    """How many of the samples a fraction is."""
    return round(count * fraction)


class EpochSampler(Sampler[int]):
    """A process's part of a shuffled epoch, which depends on seed and epoch only.

    Batch by batch, the processes together see what a single one would see in batches as large as theirs together.

    Args:
        count: samples there are.
        shard: number of this process and how many there are; what does not divide among them is left out.
        seed: of the shuffling, and of what is kept.
        fraction: of the samples that are kept, the same in every epoch; a smaller one is a part of a larger one.
        repeats: each sample stands so often in an epoch, one behind the other, so that it is augmented so often in one
            batch or in different processes (repeated augmentation, arXiv 1902.05509, as in DeiT); an epoch is as long
            as without, and sees the fewer samples.
    """

    def __init__(self, count: int, shard: tuple[int, int], seed: int, fraction: float = 1.0, repeats: int = 1) -> None:
        self.repeats = repeats
        self.count, self.shard, self.seed = kept_count(count, fraction), shard, seed
        self.kept = self._shuffled(count, seed)[: self.count] if fraction < 1 else torch.arange(count)
        self.epoch = self.start = 0

    @staticmethod
    def _shuffled(count: int, seed: int) -> Tensor:
        return torch.randperm(count, generator=torch.Generator().manual_seed(seed))

    def __len__(self) -> int:
        return self.count // self.shard[1]

    def set_epoch(self, epoch: int) -> None:
        """Take the order of another epoch; Lightning says which, and without it each is the one after the last."""
        self.epoch = epoch

    def skip(self, samples: int) -> None:
        """Leave out so many of this process's samples the next time: an interrupted run has seen them."""
        self.start = samples

    def __iter__(self) -> Iterator[int]:
        rank, processes = self.shard
        order = self.kept[self._shuffled(self.count, self.seed + self.epoch)]
        order = order.repeat_interleave(self.repeats)[: self.count]
        own = order[: len(self) * processes][rank::processes]
        start, self.start = self.start, 0
        self.epoch += 1
        yield from own[start:].tolist()


_GRACE = 1.0
"""Seconds for daemons of others, which may end by themselves."""


def _as_is(batch: Any) -> Any:
    return batch


def _belong_to_the_run(_: int) -> None:
    """A reader lives as long as the run: signals that reach it too are the run's, which ends it after a checkpoint.

    PyTorch's readers look for their parent. Of a fork server that is not the run, and they would outlive it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_run, daemon=True).start()


def _end_with_the_run() -> None:
    run = multiprocessing.parent_process()
    if run is not None:
        run.join()
        os._exit(1)


def _end_readers() -> None:
    """End readers that are left as the run exits.

    multiprocessing ends its daemons by SIGTERM, which readers leave to the run, and would wait for them for ever.
    """
    left = [child for child in multiprocessing.active_children() if child.daemon]
    if left and threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler would call it an error
    for child in left:
        child.terminate()
    until = time.monotonic() + _GRACE
    for child in left:
        child.join(max(0.0, until - time.monotonic()))
        if child.is_alive():
            child.kill()


def store_loader(
    stores: Sequence[CropStore],
    batch_size: int,
    *,
    training: bool,
    workers: int = 0,
    shard: tuple[int, int] = (0, 1),
    seed: int = 0,
    fraction: float = 1.0,
    repeats: int = 1,
) -> DataLoader[dict[str, Tensor]]:
    """Loader of batches of crops and labels.

    Args:
        stores: of one kind, one after the other.
        batch_size: crops at a time.
        training: shuffled, without the last short batch; else in order, and all of them.
        workers: processes that read.
        shard: number of this process and how many there are; each gets another part of the same shuffled epoch.
        seed: of that shuffling.
        fraction: of the samples that training sees, see ``EpochSampler``.
        repeats: of each sample in training, see ``EpochSampler``.

    Raises:
        ValueError: there is no store, the stores differ, or training has fewer crops than one batch.
    """
    dataset = StoreDataset(stores)
    count, processes = kept_count(len(dataset), fraction if training else 1.0), shard[1]
    if training and count // processes < batch_size:
        share = count_of(count, "crop") + (f" for {processes} processes" if processes > 1 else "")
        raise ValueError(f"{stores[0].folder}: {share} cannot fill one batch of {batch_size}")
    if workers:
        # Before multiprocessing looks for its daemons, whose priority is below 0.
        multiprocessing.util.Finalize(None, _end_readers, exitpriority=0)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(len(dataset), shard, seed, fraction, repeats) if training else None,
        drop_last=training,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        collate_fn=_as_is,
        worker_init_fn=_belong_to_the_run,
    )
