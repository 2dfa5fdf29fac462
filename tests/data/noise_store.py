"""Small stores of noise for the tests of building and reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cmsa.data.crop_source import CropSource
from cmsa.data.crops import CropSpec, cut_crop
from cmsa.data.image import read_image
from cmsa.data.store import CropStore
from cmsa.data.store_writer import build_store

SPEC = CropSpec.for_training((32, 24), max_rotation=20)
HEIGHT, WIDTH = 60, 90


def sources_in(folder: Path, count: int = 6, each: int = 2) -> list[CropSource]:
    """``count`` pictures of noise with ``each`` samples, their files written."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for index in range(count):
        numbers = np.random.default_rng(index)
        file = folder / f"{index}.png"
        Image.fromarray(numbers.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(file)
        labels = {
            "keypoints": numbers.uniform(0, 60, (each, 4, 3)).astype(np.float32),
            "identity": np.arange(each) + 10 * index,
            "name": np.array([f"{index}-{sample}" for sample in range(each)]),
        }
        made.append(CropSource(file, numbers.uniform(20, 40, (each, 2)), numbers.uniform(10, 40, (each, 2)), labels))
    return made


def build(folder: Path, sources: list[CropSource], **options: Any) -> CropStore:
    return build_store(folder, sources, SPEC, progress=False, **options)


def assert_whole(store: CropStore, sources: list[CropSource]) -> None:
    row = 0
    for source in sources:
        image = read_image(source.image)
        for center, extent in zip(source.centers.tolist(), source.extents.tolist(), strict=True):
            matrix = SPEC.store_matrix(tuple(center), tuple(extent))
            np.testing.assert_array_equal(store.labels["matrix"][row], matrix)
            np.testing.assert_array_equal(store.crops[row], cut_crop(image, matrix, SPEC.store_size))
            row += 1
    for name in ("keypoints", "identity", "name"):
        np.testing.assert_array_equal(store.labels[name], np.concatenate([source.labels[name] for source in sources]))
    assert len(store) == row
