"""Small classification data sets in their official layouts."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.data.crops import CropSpec
from cmsa.data.datasets.class_images import ClassImages
from cmsa.data.samples import sources_of
from cmsa.data.store import CropStore
from cmsa.data.store_writer import build_store


def pixels(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 32, 32, 3) noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def planes(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, 3072): all red, then all green, then all blue values of each image, row by row."""
    return np.stack([np.concatenate([image[:, :, channel].ravel() for channel in range(3)]) for image in images])


def dump(path: Path, content: dict[bytes, Any]) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def write_cifar10(root: Path) -> NDArray[np.uint8]:
    """Five batches of two images and two test images; the twelve images in this order."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    images = pixels(12)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for place, name in enumerate(names):
        part = images[2 * place : 2 * place + 2]
        dump(folder / name, {b"data": planes(part), b"labels": [place, 9 - place], b"batch_label": b"some"})
    dump(folder / "batches.meta", {b"label_names": [f"class {label}".encode() for label in range(10)]})
    return images


def write_cifar100(root: Path) -> NDArray[np.uint8]:
    """Three training images and one test image."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    images = pixels(4, seed=1)
    dump(folder / "train", {b"data": planes(images[:3]), b"fine_labels": [99, 0, 50], b"coarse_labels": [1, 2, 3]})
    dump(folder / "test", {b"data": planes(images[3:]), b"fine_labels": [7], b"coarse_labels": [1]})
    dump(folder / "meta", {b"fine_label_names": [f"kind {label}".encode() for label in range(100)]})
    return images


def class_store(folder: Path, classes: Sequence[str]) -> CropStore:
    """A store cut for evaluation, of one image of 8x8 pixels of each class."""
    images = np.random.default_rng(0).integers(0, 256, (len(classes), 8, 8, 3), dtype=np.uint8)
    found = ClassImages(images, np.arange(len(classes)), tuple(classes), "noise").as_samples()
    spec = CropSpec.for_evaluation((8, 8))
    return build_store(folder, sources_of(found.samples, spec), spec, meta=dict(found.meta), progress=False)


def write_parquet(folder: Path, *, label: str = "fine_label", names_in: str = "file") -> NDArray[np.uint8]:
    """Two training files and a test file of lossless images."""
    import io

    import pyarrow as arrow
    import pyarrow.parquet as parquet
    from PIL import Image

    folder.mkdir(parents=True)
    images = pixels(6, seed=2)
    names = ["red", "green", "blue"]

    def encoded(image: NDArray[np.uint8]) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        return buffer.getvalue()

    described = json.dumps({"info": {"features": {label: {"names": names, "_type": "ClassLabel"}}}})
    for file, start in (("train-00000-of-00002", 0), ("train-00001-of-00002", 2), ("test-00000-of-00001", 4)):
        rows = range(start, start + 2)
        table = arrow.table(
            {
                "image": [{"bytes": encoded(images[row]), "path": f"{row}.png"} for row in rows],
                label: [row % 3 for row in rows],
            }
        )
        if names_in == "metadata":
            table = table.replace_schema_metadata({"huggingface": described})
        parquet.write_table(table, folder / f"{file}.parquet")
    if names_in == "file":
        (folder / "classes.json").write_text(json.dumps(names), encoding="utf-8")
    return images
