"""Images with one label each -> a packed store: the very pixels where they fit, else cut and averaged."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from cmsa.data.crops import CropSpec
from cmsa.data.datasets.cifar import read_cifar, read_parquet
from cmsa.data.datasets.class_images import ClassDataError, ClassImages, read_digits, scan_class_folders
from cmsa.data.image import ImageError, read_image
from cmsa.data.store import FORMAT, CropStore, StoreError, partial_folder, spec_to_json
from cmsa.data.store_writer import CropSource, build_store

ClassSet = Literal["cifar10", "cifar100", "parquet", "folder", "digits"]
WHOLE = "whole images"
"""The box source of a classification store."""


def prepare_classes(
    kind: ClassSet,
    folder: Path | None,
    out: Path,
    *,
    size: tuple[int, int],
    training: bool,
    antialias: bool = True,
    workers: int = 0,
    progress: bool = True,
) -> CropStore:
    """Make a store of a classification data set.

    Args:
        kind: the layout; ``folder`` is ``folder/CLASS/*.png`` with pictures of any size, of which a sub-folder
            ``train`` or ``test`` (or ``val``) is taken where there is one.
        folder: the unpacked archive; None for ``digits``, which come with scikit-learn.
        out: the store's folder.
        size: (H, W) of the network's input. Images are extended to its aspect with black, never stretched.
        training: the training part.
        antialias: of ``folder``, average where pictures are larger than the input.
        workers: of ``folder``, threads that decode pictures.
        progress: of ``folder``, show a progress bar.

    Raises:
        ClassDataError: files are missing or of another kind.
        StoreError: ``out`` holds something else already.
    """
    if kind not in get_args(ClassSet):
        raise ValueError(f"no layout {kind!r}; there are {', '.join(get_args(ClassSet))}")
    if kind == "digits":
        return write_images(read_digits(training=training), out, size)
    if folder is None:
        raise ValueError(f"{kind}: the folder of the data set is missing")
    if kind == "folder":
        return _prepare_folders(folder, out, size, training, antialias, workers, progress)
    if kind == "parquet":
        return write_images(read_parquet(folder, training=training), out, size)
    return write_images(read_cifar(folder, kind, training=training), out, size)


def write_images(data: ClassImages, out: Path, size: tuple[int, int]) -> CropStore:
    """Write a store of images in memory; it appears whole or not at all.

    Images of another size than ``size`` are resized bilinearly, shrunken ones by area.

    Raises:
        StoreError: ``out`` exists.
        ClassDataError: the images are of another aspect than ``size``.
    """
    if out.exists():
        raise StoreError(f"{out}: exists already; delete it, or choose another folder")
    height, width = data.images.shape[1:3]
    if height * size[1] != width * size[0]:
        raise ClassDataError(f"{data.source}: images of {height}x{width} (HxW) for an input of {size[0]}x{size[1]}")
    spec = CropSpec.for_evaluation(size, padding=1.0)
    matrix = spec.store_matrix(((width - 1) / 2, (height - 1) / 2), (width, height))
    work = partial_folder(out)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    np.save(work / "crops.npy", data.images if (height, width) == size else _resized(data, size))
    matrices = np.broadcast_to(matrix, (len(data), 2, 3))
    np.savez(work / "labels.npz", label=data.labels, matrix=matrices)
    meta = {"task": "classification", "data": data.source, "classes": list(data.classes), "box_source": WHOLE}
    description = {"format": FORMAT, "fingerprint": "", "spec": spec_to_json(spec), "meta": meta}
    (work / "meta.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
    os.rename(work, out)
    return CropStore.open(out)


def _resized(data: ClassImages, size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    shrinks = size[0] < data.images.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = [cv2.resize(image, (size[1], size[0]), interpolation=interpolation) for image in data.images]
    return np.stack(resized).astype(np.uint8)


def _prepare_folders(
    folder: Path, out: Path, size: tuple[int, int], training: bool, antialias: bool, workers: int, progress: bool
) -> CropStore:
    parts = ("train",) if training else ("test", "val")
    root = next((folder / part for part in parts if (folder / part).is_dir()), folder)
    files, classes = scan_class_folders(root)
    sources = []
    for file in files:
        try:
            height, width = read_image(file.path, apply_exif=False).shape[:2]
        except ImageError:
            # The store counts and names what cannot be read.
            height, width = size
        center, extent = ((width - 1) / 2, (height - 1) / 2), (width, height)
        label = np.array([file.label], dtype=np.int64)
        sources.append(CropSource(file.path, np.array([center]), np.array([extent], dtype=float), {"label": label}))
    spec = CropSpec.for_evaluation(size, padding=1.0, antialias=antialias)
    meta = {"task": "classification", "data": root.name, "classes": list(classes), "box_source": WHOLE}
    return build_store(out, sources, spec, meta=meta, workers=workers, progress=progress)
