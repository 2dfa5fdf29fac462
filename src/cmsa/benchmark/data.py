"""The benchmark of reading: pictures decoded for every sample against the packed store, on the same people."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, default_collate

from cmsa.benchmark.measure import Work, interleaved, machine
from cmsa.benchmark.usual_people import UsualPeople
from cmsa.benchmark.written import write_rows
from cmsa.data.crops import CropSpec
from cmsa.data.datasets.coco import CocoPeople, load_people
from cmsa.data.datasets.coco_entries import Person
from cmsa.data.loader import store_loader
from cmsa.data.samples import sources_of
from cmsa.data.store import CropStore
from cmsa.data.store_writer import build_store
from cmsa.data.transforms.affine import move_keypoints, transform_keypoints
from cmsa.training.augmentation import build_augmentation
from cmsa.training.recipe import Recipe

PROCESSES, THREADS, STORE = "decode and warp, processes", "decode and warp, threads", "packed store"
BATCHES_PER_THREAD = 2
"""A turn reads so many batches for each thread, which all have the same to do."""


@dataclass(frozen=True)
class DataRow:
    """One way to read.

    Attributes:
        name: which.
        throughput: samples a second.
        speedup: against the faster of the ways that decode every sample.
        throughput_cpu: samples for each second of processor time, which other processes disturb less; None for worker
            processes, whose time is not known.
    """

    name: str
    throughput: float
    speedup: float
    throughput_cpu: float | None


def benchmark_data(
    annotations: Path,
    images: Path,
    *,
    size: tuple[int, int] = (32, 24),
    batch: int = 64,
    threads: int = 2,
    rounds: int = 5,
    out: Path | None = None,
) -> list[DataRow]:
    """Measure how fast people are read for training, and show the table.

    Both ways end with normalised images, scaled, turned and mirrored at random, and with their keypoints; heatmaps,
    which either needs, are left out. Everything has been read once before, so files come from the system's cache.

    Args:
        annotations: ``person_keypoints_*.json``.
        images: the folder of its pictures.
        size: (H, W) of the images.
        batch: people of a batch.
        threads: of the CPU; the usual way runs in so many worker processes, and in so many threads.
        rounds: of which medians are taken.
        out: folder for ``data.json``.

    Raises:
        CocoError: the annotations cannot be used.
        ValueError: the people do not fill a batch.
    """
    torch.set_num_threads(threads)
    people = load_people(annotations, images)
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        spec = CropSpec.for_training(size)
        store = build_store(
            Path(folder) / "people.crops", sources_of(people.samples(), spec), spec, progress=False, workers=threads
        )
        seconds = time.perf_counter() - start
        loader = store_loader([store], batch, training=True)
        batches = BATCHES_PER_THREAD * threads
        usual = UsualPeople(_stored(people, store), size, people.keypoint_set)
        with decoding(usual, batch, batches, threads) as works:
            augment = augmentation_of(store, size, people)
            works[STORE] = lambda: [augment(read) for read in random_batches(loader, batches)]
            timings = interleaved(works, rounds)
        megabytes = store.crops.nbytes / 1e6
    fastest = min(timings[name].wall for name in (PROCESSES, THREADS))
    samples = batches * batch
    rows = [
        DataRow(
            name,
            throughput=samples / timing.wall,
            speedup=fastest / timing.wall,
            throughput_cpu=None if name == PROCESSES else samples / timing.cpu,
        )
        for name, timing in timings.items()
    ]
    conditions = {
        "machine": machine(),
        "threads": threads,
        "batch": batch,
        "rounds": rounds,
        "size": size,
        "people": len(store),
        "store_seconds": seconds,
        "store_megabytes": megabytes,
    }
    show_data(rows, conditions)
    if out is not None:
        write_rows(out / "data.json", rows, conditions)
    return rows


def _stored(people: CocoPeople, store: CropStore) -> list[Person]:
    """The people whose pictures could be read."""
    kept = set(store.labels["annotation_id"].tolist())
    return [person for person in people.people if person.annotation_id in kept]


@contextmanager
def decoding(people: UsualPeople, batch: int, batches: int, threads: int) -> Iterator[dict[str, Work]]:
    """Read so many random batches by decoding every sample, in worker processes and in threads."""
    sampler = RandomSampler(people, num_samples=batches * batch)
    loader = DataLoader(people, batch, sampler=sampler, num_workers=threads, persistent_workers=True)
    order = BatchSampler(sampler, batch, drop_last=False)

    def one_batch(indices: list[int]) -> Any:
        return default_collate([people[index] for index in indices])

    with ThreadPoolExecutor(threads) as pool:
        yield {
            PROCESSES: lambda: list(loader),
            THREADS: lambda: list(pool.map(one_batch, order)),
        }


def random_batches(loader: Iterable[dict[str, Tensor]], count: int) -> Iterator[dict[str, Tensor]]:
    """So many batches, from as many epochs as they take."""
    return itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), count)


def augmentation_of(
    store: CropStore, size: tuple[int, int], people: CocoPeople
) -> Callable[[Mapping[str, Tensor]], tuple[Tensor, Tensor]]:
    """Batch of the store -> images (B, 3, H, W) and keypoints (B, K, 3) in their pixels, augmented as by default."""
    recipe = Recipe()
    recipe.model.input_size = list(size)
    augmentation, generator = build_augmentation(recipe, store), torch.Generator().manual_seed(0)
    keypoint_set = people.keypoint_set

    def augment(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        keypoints = move_keypoints(batch["keypoints"], batch["matrix"])
        images, sample = augmentation(batch["crops"], generator, keypoints, keypoint_set.upper_body)
        return images, transform_keypoints(keypoints, sample, keypoint_set.flip_index)

    return augment


def show_data(rows: Sequence[DataRow], conditions: Mapping[str, Any]) -> None:
    """Print rows, what they were measured on, and what the store costs."""
    from rich.console import Console
    from rich.table import Table

    height, width = conditions["size"]
    table = Table(
        title=f"{conditions['machine']}; {conditions['threads']} threads; {conditions['people']:,} people at "
        f"{height}x{width} in batches of {conditions['batch']}; medians of {conditions['rounds']} interleaved rounds"
    )
    table.add_column("read by")
    for name in ("samples/s", "against decoding", "samples/CPU s"):
        table.add_column(name, justify="right")
    for row in rows:
        by_cpu = "" if row.throughput_cpu is None else f"{row.throughput_cpu:,.0f}"
        table.add_row(row.name, f"{row.throughput:,.0f}", f"{row.speedup:.2f}x", by_cpu)
    console = Console(soft_wrap=True)
    console.print(table)
    seconds, megabytes = conditions["store_seconds"], conditions["store_megabytes"]
    rate = conditions["people"] / seconds
    console.print(f"once for the store: {seconds:.1f} s ({rate:,.0f} people/s), {megabytes:,.1f} MB")
