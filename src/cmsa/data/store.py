"""A packed store of crops: one array on disk, read without decoding a picture.

A store is a folder of ``crops.npy`` (N, H, W, 3) uint8, ``labels.npz`` (arrays whose first axis is N), ``meta.json``,
``stamps.npy`` (which state of the pictures was cut) and, where there is more to score by than the crops' own labels,
``truth.npz``. ``cmsa.data.store_writer`` builds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cmsa.data.crops import CropSpec
from cmsa.files.read_json import read_json
from cmsa.structures import COCO, KeypointSet

if TYPE_CHECKING:
    import torch

FORMAT = 2
READABLE_FORMATS = (1, 2)
"""Stores of format 1 have no stamps and no truth."""


class StoreError(RuntimeError):
    """A store is missing, unfinished, damaged, or not the one that was asked for; the message says what to do."""


@dataclass(frozen=True, eq=False)
class CropStore:
    """N crops and their labels.

    Attributes:
        folder: where it lies.
        crops: (N, H, W, 3) uint8 RGB of ``spec.store_size``, memory-mapped, read only.
        labels: arrays whose first axis is N. Coordinates are in pixels of the picture; ``matrix`` (N, 2, 3) float64
            maps them into the crop.
        spec: how the crops were cut.
        meta: what the builder noted (data set, keypoint set or classes, box source, unreadable pictures).
        truth: what a score needs of the whole data set, e.g. people that have no crop; arrays of any length.

    Examples:
        >>> from pathlib import Path
        >>> from cmsa.data.prepare import prepare
        >>> made = prepare("digits", Path("digits.crops"), training=False, progress=False)
        >>> store = CropStore.open("digits.crops")
        >>> batch = store.read([0, 5])
        >>> {name: tuple(values.shape) for name, values in batch.items()}
        {'crops': (2, 16, 16, 3), 'label': (2,), 'matrix': (2, 2, 3)}
    """

    folder: Path
    crops: NDArray[np.uint8]
    labels: dict[str, NDArray[Any]]
    spec: CropSpec
    meta: dict[str, Any]
    truth: dict[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: str | Path) -> CropStore:
        """Open a finished store.

        Raises:
            StoreError: there is none, its preparation was interrupted, or a file is damaged.
        """
        folder = Path(folder)
        if not folder.is_dir():
            if partial_folder(folder).is_dir():
                raise StoreError(f"{folder}: its preparation was interrupted; prepare it again and it will go on")
            raise StoreError(f"{folder}: there is no crop store; prepare one first")
        try:
            if not (folder / "meta.json").exists():  # a user's own folder, which nobody must be told to delete
                raise StoreError(f"{folder}: not a crop store (it holds no meta.json); prepare one in another folder")
            content = read_json(folder / "meta.json")
            if content["format"] not in READABLE_FORMATS:
                raise StoreError(f"{folder}: store format {content['format']}, expected {FORMAT}; prepare it again")
            spec = spec_from_json(content["spec"])
            crops = np.load(folder / "crops.npy", mmap_mode="r")
            labels = _arrays(folder / "labels.npz")
            truth = _arrays(folder / "truth.npz") if (folder / "truth.npz").exists() else {}
            meta = dict(content["meta"])
            _check_shapes(folder, crops, labels, spec)
        except StoreError:
            raise
        except Exception as error:  # damaged files raise whatever their parsers happen to trip over
            raise StoreError(f"{folder}: the store is damaged ({error}); delete it and prepare it again") from error
        return cls(folder, crops, labels, spec, meta, truth)

    def __len__(self) -> int:
        return len(self.crops)

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes map the file again instead of receiving every crop; what was made in memory has no file.
        if isinstance(self.crops, np.memmap):
            return CropStore.open, (self.folder,)
        return CropStore, (self.folder, self.crops, self.labels, self.spec, self.meta, self.truth)

    def keypoint_set(self) -> KeypointSet:
        """What the labels ``keypoints`` mean; stores of format 1 hold COCO's and do not say so."""
        entries = self.meta.get("keypoints")
        return KeypointSet.from_json(entries) if entries else COCO

    def read(self, indices: Sequence[int] | NDArray[np.integer[Any]] | slice) -> dict[str, torch.Tensor]:
        """Read a batch.

        Args:
            indices: B samples, or a slice.

        Returns:
            ``crops`` (B, H, W, 3) uint8, and each numeric label as (B, ...): floats as float32, integers and booleans
            as int64. Text stays behind.
        """
        import torch

        chosen = indices if isinstance(indices, slice) else np.asarray(indices, dtype=np.int64)
        batch = {"crops": torch.from_numpy(np.array(self.crops[chosen]))}
        for name, values in self.labels.items():
            if values.dtype.kind == "f":
                batch[name] = torch.from_numpy(values[chosen].astype(np.float32))
            elif values.dtype.kind in "iub":
                batch[name] = torch.from_numpy(values[chosen].astype(np.int64))
        return batch


def partial_folder(folder: Path) -> Path:
    """Where a store lies until it is whole."""
    return folder.with_name(folder.name + ".partial")


def spec_to_json(spec: CropSpec) -> dict[str, Any]:
    """A ``CropSpec`` as JSON."""
    return asdict(spec)


def spec_from_json(fields: dict[str, Any]) -> CropSpec:
    """A ``CropSpec`` from JSON, where tuples are lists."""
    sizes = {name: tuple(fields[name]) for name in ("size", "store_size")}
    return CropSpec(**(fields | sizes))


def store_names(stores: Sequence[CropStore]) -> list[str]:
    """What to call stores in tables and logs: their folders' names, with as much of the path as tells them apart."""
    return names_of([store.folder.with_suffix("") for store in stores])


def names_of(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or the whole of it where several end alike."""
    names = [path.name for path in paths]
    return [name if names.count(name) == 1 else path.as_posix() for name, path in zip(names, paths, strict=True)]


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def _check_shapes(folder: Path, crops: NDArray[Any], labels: dict[str, NDArray[Any]], spec: CropSpec) -> None:
    wanted = (*spec.store_size, 3)
    if crops.dtype != np.uint8 or crops.shape[1:] != wanted:
        raise StoreError(
            f"{folder}: crops.npy must hold uint8 of shape (N, {wanted[0]}, {wanted[1]}, 3), "
            f"got {crops.dtype} of shape {crops.shape}; delete the store and prepare it again"
        )
    for name, values in labels.items():
        if len(values) != len(crops):
            raise StoreError(
                f"{folder}: label {name!r} has {len(values)} entries for {len(crops)} crops; "
                "delete the store and prepare it again"
            )
