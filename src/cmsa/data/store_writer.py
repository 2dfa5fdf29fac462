"""Building a crop store: each picture is decoded once, and a store that exists is whole.

Everything is written in ``FOLDER.partial``, which is renamed to ``FOLDER`` when nothing is missing. A run that was
killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cmsa.data.crops import CropSpec, cut_crop
from cmsa.data.image import ImageError, read_image
from cmsa.data.store import FORMAT, CropStore, StoreError, partial_folder, spec_to_json

_TODO, _DONE, _UNREADABLE = 0, 1, 2
_NAMED = 5
"""How many unreadable pictures an error names."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class CropSource:
    """One picture and the n samples to cut from it.

    Attributes:
        image: the file. It is read without its EXIF orientation: annotations belong to the stored pixels.
        centers: (n, 2) centre (x, y) of each region, in pixels of the picture.
        extents: (n, 2) width and height of each region, before ``CropSpec`` extends and pads it.
        labels: arrays whose first axis is n; coordinates in pixels of the picture. Every source of a store has the
            same names and shapes. ``matrix`` is the store's own.

    Raises:
        ValueError: an array has another length or shape, is not finite, or an extent is not positive.
    """

    image: Path
    centers: NDArray[np.floating[Any]]
    extents: NDArray[np.floating[Any]]
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.centers)
        for name in ("centers", "extents"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (count, 2):
                raise ValueError(f"{self.image}: {name} must have shape ({count}, 2), got {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"{self.image}: {name} must be finite")
            object.__setattr__(self, name, values)
        if (self.extents <= 0).any():
            raise ValueError(f"{self.image}: extents must be positive, got {self.extents.min():g}")
        if "matrix" in self.labels:
            raise ValueError(f"{self.image}: the label name 'matrix' is the store's own")
        for name, label in self.labels.items():
            if len(label) != count:
                raise ValueError(f"{self.image}: label {name!r} has {len(label)} entries for {count} samples")

    def __len__(self) -> int:
        return len(self.centers)


def build_store(
    folder: str | Path,
    sources: Sequence[CropSource],
    spec: CropSpec,
    *,
    meta: dict[str, Any] | None = None,
    progress: bool = True,
    bad_budget: float = 0.01,
    workers: int = 0,
) -> CropStore:
    """Cut every sample and keep it, or go on with a store whose preparation was interrupted.

    Args:
        folder: where the store will be. If it is there already, made from the same sources, it is opened.
        sources: the pictures.
        spec: how to cut them.
        meta: what to note beside them, as JSON.
        progress: draw a progress bar.
        bad_budget: largest share of pictures that may be unreadable. These are left out and named in
            ``meta["unreadable"]``.
        workers: threads that decode; 0 decodes in the caller's.

    Raises:
        StoreError: there is nothing to store, too many pictures are unreadable, or ``folder`` holds another store.
    """
    folder = Path(folder)
    sources = [source for source in sources if len(source)]
    labels = _labels(sources, spec)
    fingerprint = _fingerprint(sources, spec)
    description: dict[str, Any] = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "spec": spec_to_json(spec),
        "meta": dict(meta or {}),
    }
    _refuse_another(folder, folder, fingerprint)
    if folder.exists():
        return CropStore.open(folder)
    work = partial_folder(folder)
    _refuse_another(work, folder, fingerprint)
    state = _open_work(work, len(labels["matrix"]), description, spec)
    unreadable = _cut_all(work, sources, labels["matrix"], spec, state, progress, bad_budget, workers)
    description["meta"]["unreadable"] = unreadable
    _finish(work, folder, labels, state == _DONE, description)
    return CropStore.open(folder)


def _labels(sources: Sequence[CropSource], spec: CropSpec) -> dict[str, NDArray[Any]]:
    if not sources:
        raise StoreError("there is not one sample to store")
    names = sources[0].labels.keys()
    for source in sources:
        if source.labels.keys() != names:
            raise StoreError(f"{source.image}: labels {sorted(source.labels)}, but others have {sorted(names)}")
    matrices = [
        spec.store_matrix((center[0], center[1]), (extent[0], extent[1]))
        for source in sources
        for center, extent in zip(source.centers.tolist(), source.extents.tolist(), strict=True)
    ]
    labels = {name: np.concatenate([source.labels[name] for source in sources]) for name in names}
    return labels | {"matrix": np.stack(matrices)}


def _fingerprint(sources: Sequence[CropSource], spec: CropSpec) -> str:
    digest = hashlib.sha256(repr((FORMAT, spec)).encode())
    for source in sources:
        digest.update(repr((source.image.as_posix(), len(source))).encode())
        for name, values in [("", source.centers), ("", source.extents), *sorted(source.labels.items())]:
            array = np.ascontiguousarray(values)
            digest.update(repr((name, array.dtype.str, array.shape)).encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def _refuse_another(existing: Path, folder: Path, fingerprint: str) -> None:
    if not existing.exists() or (existing != folder and not (existing / "meta.json").exists()):
        return
    try:
        found = json.loads((existing / "meta.json").read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{existing}: not a crop store; delete it, or choose another folder than {folder}") from error
    if found != fingerprint:
        raise StoreError(
            f"{existing}: was made from other sources or another crop specification; "
            f"delete it to prepare this one, or choose another folder than {folder}"
        )


def _open_work(work: Path, count: int, description: dict[str, Any], spec: CropSpec) -> NDArray[np.uint8]:
    """The state of each sample, kept on disk; begins the work if there is none."""
    if not (work / "meta.json").exists():
        shape = (count, *spec.store_size, 3)
        work.mkdir(parents=True, exist_ok=True)
        # A memory-mapped file that outgrows its disk kills the process without a word.
        needed, free = int(np.prod(shape)), shutil.disk_usage(work).free
        if needed > free:
            raise StoreError(f"{work}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
        np.lib.format.open_memmap(work / "work.npy", mode="w+", dtype=np.uint8, shape=shape)
        np.save(work / "state.npy", np.full(count, _TODO, dtype=np.uint8))
        # Last: a folder with a description has everything else.
        _write_json(work / "meta.json", description)
    state: NDArray[np.uint8] = np.load(work / "state.npy", mmap_mode="r+")
    return state


def _cut_all(
    work: Path,
    sources: Sequence[CropSource],
    matrices: NDArray[np.float64],
    spec: CropSpec,
    state: NDArray[np.uint8],
    progress: bool,
    bad_budget: float,
    workers: int,
) -> list[dict[str, str]]:
    """Fill ``work``; returns the unreadable pictures."""
    bounds = np.cumsum([0] + [len(source) for source in sources]).tolist()
    rows = [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
    todo = [index for index in range(len(sources)) if (state[rows[index]] != _DONE).any()]
    if not todo:
        return []
    crops = np.load(work / "work.npy", mmap_mode="r+")

    def cut(index: int) -> str | None:
        try:
            image = read_image(sources[index].image, apply_exif=False)
        except ImageError as error:
            state[rows[index]] = _UNREADABLE
            return str(error)
        for row in range(rows[index].start, rows[index].stop):
            crops[row] = cut_crop(image, matrices[row], spec.store_size, antialias=spec.antialias)
        state[rows[index]] = _DONE
        return None

    unreadable: list[dict[str, str]] = []
    results = zip(todo, _run(cut, todo, workers), strict=True)
    for index, problem in _watched(results, len(sources), len(todo), progress):
        if problem is None:
            continue
        unreadable.append({"image": str(sources[index].image), "problem": problem})
        if len(unreadable) > bad_budget * len(sources):
            named = "\n  ".join(entry["problem"] for entry in unreadable[-_NAMED:])
            raise StoreError(
                f"{len(unreadable)} of {len(sources)} pictures could not be read, above the budget of "
                f"{bad_budget:.1%}; repair or remove them and prepare again:\n  {named}"
            )
    return unreadable


def _run(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    if workers == 0:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(work, items)


def _watched(results: Iterable[Item], total: int, left: int, progress: bool) -> Iterator[Item]:
    if not progress:
        yield from results
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("cutting crops", total=total, completed=total - left)
        for result in results:
            yield result
            bar.advance(task)


def _finish(
    work: Path, folder: Path, labels: dict[str, NDArray[Any]], kept: NDArray[np.bool_], description: dict[str, Any]
) -> None:
    """Put the files in place and give the folder its name; killed at any point, it can be repeated."""
    if not kept.any():
        raise StoreError(f"{work}: not one picture could be read")
    # numpy's stub takes every keyword for its own.
    np.savez(work / "labels.npz", **{name: values[kept] for name, values in labels.items()})  # type: ignore[arg-type]
    _write_json(work / "meta.json", description)
    cut = work / "work.npy"
    if not kept.all():
        _copy_rows(cut, work / "crops.npy", np.flatnonzero(kept))
    elif cut.exists():
        os.replace(cut, work / "crops.npy")
    os.rename(work, folder)
    for leftover in ("work.npy", "state.npy"):
        (folder / leftover).unlink(missing_ok=True)


def _copy_rows(source: Path, target: Path, rows: NDArray[np.intp], chunk: int = 1024) -> None:
    crops = np.load(source, mmap_mode="r")
    packed = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=(len(rows), *crops.shape[1:]))
    for start in range(0, len(rows), chunk):
        packed[start : start + chunk] = crops[rows[start : start + chunk]]
    packed.flush()


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1)
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
