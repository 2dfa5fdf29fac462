"""Building a crop store: each picture is decoded once, and a store that exists is whole.

Everything is written in ``FOLDER.partial``, which is renamed to ``FOLDER`` when nothing is missing. A run that was
killed goes on where it stopped. A store that is there is opened if it is the one that was asked for, and refused
otherwise.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from cmsa.data.crop_source import NO_STAMP, CropSource
from cmsa.data.crops import CropSpec, cut_crop
from cmsa.data.image import ImageError
from cmsa.data.store import FORMAT, READABLE_FORMATS, CropStore, StoreError, partial_folder, spec_to_json
from cmsa.files.lock import only_process_in
from cmsa.files.read_json import read_json
from cmsa.files.write_json import write_json

_TODO, _DONE, _UNREADABLE = 0, 1, 2
_NAMED = 5
"""How many unreadable pictures an error names."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def build_store(
    folder: str | Path,
    sources: Sequence[CropSource],
    spec: CropSpec,
    *,
    meta: dict[str, Any] | None = None,
    truth: dict[str, NDArray[Any]] | None = None,
    progress: bool = True,
    bad_budget: float = 0.01,
    workers: int = 0,
) -> CropStore:
    """Cut every sample and keep it, or go on with a store whose preparation was interrupted.

    Args:
        folder: where the store will be. If it is there already, made from the same sources, it is opened; the files
            themselves are compared by their size and time.
        sources: the pictures.
        spec: how to cut them.
        meta: what to note beside them, as JSON.
        truth: arrays to keep beside them, see ``CropStore``.
        progress: draw a progress bar.
        bad_budget: largest share of pictures that may be unreadable. These are left out and named in
            ``meta["unreadable"]``.
        workers: threads that decode; 0 decodes in the caller's.

    Raises:
        StoreError: there is nothing to store, too many pictures are unreadable, or ``folder`` holds another store.
        FolderInUseError: another process prepares this store.
    """
    folder = Path(folder)
    sources = [source for source in sources if len(source)]
    if not sources:
        raise StoreError(f"{folder}: there is not one sample to store")
    if folder.is_symlink() and not folder.exists():
        raise StoreError(f"{folder}: is a link that leads nowhere")
    labels, truth = _labels(sources, spec), dict(truth or {})
    fingerprint = partial(_fingerprint, sources, spec, truth)
    description: dict[str, Any] = {
        "format": FORMAT,
        "fingerprint": fingerprint(FORMAT),
        "spec": spec_to_json(spec),
        "meta": dict(meta or {}),
    }
    _refuse_another(folder, folder, fingerprint)
    if folder.exists():
        _refuse_changed_pictures(folder, sources)
        return CropStore.open(folder)
    work = partial_folder(folder)
    with only_process_in(work):
        _refuse_another(work, folder, fingerprint)
        state = _open_work(work, sources, description, spec)
        unreadable = _cut_all(work, sources, labels["matrix"], spec, state, progress, bad_budget, workers)
        description["meta"]["unreadable"] = unreadable
        kept = np.array(state == _DONE)
        # Windows renames no folder with a file in it that is mapped into memory.
        del state
        _finish(work, folder, labels, truth, kept, description)
    return CropStore.open(folder)


def _labels(sources: Sequence[CropSource], spec: CropSpec) -> dict[str, NDArray[Any]]:
    names = sources[0].labels.keys()
    for source in sources:
        if source.labels.keys() != names:
            raise StoreError(f"{source.name}: labels {sorted(source.labels)}, but others have {sorted(names)}")
    matrices = [
        spec.store_matrix((center[0], center[1]), (extent[0], extent[1]))
        for source in sources
        for center, extent in zip(source.centers.tolist(), source.extents.tolist(), strict=True)
    ]
    labels = {name: np.concatenate([source.labels[name] for source in sources]) for name in names}
    return labels | {"matrix": np.stack(matrices)}


def _fingerprint(sources: Sequence[CropSource], spec: CropSpec, truth: dict[str, NDArray[Any]], format: int) -> str:
    """Of what was asked for. That of format 1 knew files only, and neither their sizes nor a truth."""
    digest = hashlib.sha256(repr((format, spec)).encode())
    for source in sources:
        if isinstance(source.image, Path):
            digest.update(repr((source.image.as_posix(), len(source))).encode())
        else:
            digest.update(repr((source.image.shape, len(source))).encode())
            digest.update(np.ascontiguousarray(source.image).tobytes())
        if format > 1:
            digest.update(repr((source.size, source.apply_exif)).encode())
        for name, values in [("", source.centers), ("", source.extents), *sorted(source.labels.items())]:
            _update(digest, name, values)
    for name, values in sorted(truth.items()) if format > 1 else ():
        _update(digest, name, values)
    return digest.hexdigest()


def _update(digest: hashlib._Hash, name: str, values: NDArray[Any]) -> None:
    array = np.ascontiguousarray(values)
    digest.update(repr((name, array.dtype.str, array.shape)).encode())
    digest.update(array.tobytes())


def _refuse_another(existing: Path, folder: Path, fingerprint: Callable[[int], str]) -> None:
    if not existing.exists() or (existing != folder and not (existing / "meta.json").exists()):
        return
    if not (existing / "meta.json").exists():  # a user's own, which nobody must be told to delete
        raise StoreError(f"{existing}: not a crop store; choose another folder")
    try:
        content = read_json(existing / "meta.json")
        found, format = content["fingerprint"], content["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{existing}: the store is damaged; delete it, or choose another folder") from error
    if format not in READABLE_FORMATS or found != fingerprint(format):
        earlier = ", or by an earlier version of cmsa" if format != FORMAT else ""
        raise StoreError(
            f"{existing}: was made from other sources or another crop specification{earlier}; "
            f"delete it to prepare this one, or choose another folder than {folder}"
        )


def _refuse_changed_pictures(folder: Path, sources: Sequence[CropSource]) -> None:
    kept = _read_stamps(folder, sources)
    changed = [source.name for source, stamp in zip(sources, kept, strict=True) if _differs(stamp, source.stamp())]
    if changed:
        named = ", ".join(changed[:_NAMED]) + (", ..." if len(changed) > _NAMED else "")
        raise StoreError(
            f"{folder}: {len(changed)} of {len(sources)} pictures were changed since it was made ({named}); "
            "delete it to prepare it again, or choose another folder"
        )


def _read_stamps(folder: Path, sources: Sequence[CropSource]) -> list[tuple[int, int]]:
    path = folder / "stamps.npy"
    return [(size, time) for size, time in np.load(path).tolist()] if path.exists() else [NO_STAMP] * len(sources)


def _differs(kept: tuple[int, int], present: tuple[int, int]) -> bool:
    """Whether a file that is there is another one than that which was cut."""
    return NO_STAMP not in (kept, present) and kept != present


def _open_work(
    work: Path, sources: Sequence[CropSource], description: dict[str, Any], spec: CropSpec
) -> NDArray[np.uint8]:
    """The state of each sample, kept on disk; begins the work if there is none."""
    if not (work / "meta.json").exists():
        count = sum(map(len, sources))
        shape = (count, *spec.store_size, 3)
        work.mkdir(parents=True, exist_ok=True)
        # A memory-mapped file that outgrows its disk kills the process without a word.
        needed, free = int(np.prod(shape)), shutil.disk_usage(work).free
        if needed > free:
            raise StoreError(f"{work}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
        np.lib.format.open_memmap(work / "work.npy", mode="w+", dtype=np.uint8, shape=shape)
        _reserve(work / "work.npy")
        np.save(work / "stamps.npy", np.full((len(sources), 2), NO_STAMP, dtype=np.int64))
        np.save(work / "state.npy", np.full(count, _TODO, dtype=np.uint8))
        # Last: a folder with a description has everything else.
        write_json(work / "meta.json", description, indent=1)
    state: NDArray[np.uint8] = np.load(work / "state.npy", mmap_mode="r+")
    if (work / "work.npy").exists():
        for rows, source, kept in zip(_rows(sources), sources, _read_stamps(work, sources), strict=True):
            if _differs(kept, source.stamp()):
                state[rows] = _TODO
    return state


def _reserve(path: Path) -> None:
    """Take the disk's blocks of a file now: others may fill the disk while it is written to through memory."""
    try:
        with path.open("r+b") as file:
            _take_room(file)
    except OSError as error:
        path.unlink()
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from error


def _take_room(file: BinaryIO, chunk: int = 1 << 20) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            return os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
    # As on macOS, and in some file systems: a hole gets its blocks by being written to.
    while block := file.read(chunk):
        file.seek(-len(block), os.SEEK_CUR)
        file.write(block)


def _rows(sources: Sequence[CropSource]) -> list[slice]:
    """Where the samples of each source are."""
    bounds = np.cumsum([0] + [len(source) for source in sources]).tolist()
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


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
    rows = _rows(sources)
    todo = [index for index in range(len(sources)) if (state[rows[index]] != _DONE).any()]
    if not todo:
        return []
    crops = np.load(work / "work.npy", mmap_mode="r+")
    if not (work / "stamps.npy").exists():
        np.save(work / "stamps.npy", np.full((len(sources), 2), NO_STAMP, dtype=np.int64))
    stamps = np.load(work / "stamps.npy", mmap_mode="r+")

    def cut(index: int) -> str | None:
        # Before the file is read: one that changes meanwhile is found out.
        stamps[index] = sources[index].stamp()
        try:
            image = sources[index].read()
        except ImageError as error:
            state[rows[index]] = _UNREADABLE
            return str(error)
        for row in range(rows[index].start, rows[index].stop):
            crops[row] = cut_crop(image, matrices[row], spec.store_size, antialias=spec.antialias)
        state[rows[index]] = _DONE
        return None

    unreadable: list[dict[str, str]] = []
    results = zip(todo, in_order(cut, todo, workers), strict=True)
    for index, problem in _watched(results, len(sources), len(todo), progress):
        if problem is None:
            continue
        unreadable.append({"image": sources[index].name, "problem": problem})
        if len(unreadable) > bad_budget * len(sources):
            named = "\n  ".join(entry["problem"] for entry in unreadable[-_NAMED:])
            raise StoreError(
                f"{len(unreadable)} of {len(sources)} pictures could not be read, above the budget of "
                f"{bad_budget:.1%}; repair or remove them and prepare again:\n  {named}"
            )
    return unreadable


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """The results of some work on each item, in their order, by so many threads; 0 works in the caller's."""
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
    work: Path,
    folder: Path,
    labels: dict[str, NDArray[Any]],
    truth: dict[str, NDArray[Any]],
    kept: NDArray[np.bool_],
    description: dict[str, Any],
) -> None:
    """Put the files in place and give the folder its name; killed at any point, it can be repeated."""
    if not kept.any():
        raise StoreError(f"{work}: not one picture could be read")
    # numpy's stub takes every keyword for its own.
    np.savez(work / "labels.npz", **{name: values[kept] for name, values in labels.items()})  # type: ignore[arg-type]
    if truth:
        np.savez(work / "truth.npz", **truth)  # type: ignore[arg-type]
    write_json(work / "meta.json", description, indent=1)
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
    _reserve(target)
    for start in range(0, len(rows), chunk):
        packed[start : start + chunk] = crops[rows[start : start + chunk]]
    packed.flush()
