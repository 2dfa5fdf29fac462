"""A training store of noise: crops and labels of the shapes that a task trains on, without any files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.data.datasets import FACES, PEOPLE, WHOLE_IMAGES, Framing
from cmsa.data.store import CropStore
from cmsa.structures import COCO

CLASSES = 100
Labels = dict[str, NDArray[Any]]


def _people(numbers: np.random.Generator, size: tuple[int, int], count: int) -> Labels:
    """Keypoints all over the input, visible. Pixels of the picture are those of the input here."""
    places = numbers.uniform(0, size[::-1], (count, len(COCO), 2))
    return {"keypoints": np.concatenate([places, np.full((count, len(COCO), 1), 2)], axis=2)}


def _faces(numbers: np.random.Generator, size: tuple[int, int], count: int) -> Labels:
    """Angles up to 60° either way."""
    return {"angles": numbers.uniform(-60, 60, (count, 3))}


def _classes(numbers: np.random.Generator, size: tuple[int, int], count: int) -> Labels:
    """One of 100 classes."""
    return {"label": numbers.integers(0, CLASSES, count)}


LABELS: dict[str, tuple[Framing, Callable[[np.random.Generator, tuple[int, int], int], Labels]]] = {
    "pose": (PEOPLE, _people),
    "head_pose": (FACES, _faces),
    "classification": (WHOLE_IMAGES, _classes),
}
"""How each task's crops are framed, and its labels of noise."""


def noise_store(task: str, size: tuple[int, int], count: int) -> CropStore:
    """``count`` crops for inputs of ``size`` (H, W), cut as ``cmsa prepare --for train`` cuts them for the task."""
    numbers = np.random.default_rng(0)
    framing, labels_of = LABELS[task]
    spec = framing.spec(size, training=True)
    labels = labels_of(numbers, size, count)
    crops = numbers.integers(0, 256, (count, *spec.store_size, 3), dtype=np.uint8)
    labels["matrix"] = np.broadcast_to(spec.base_to_store, (count, 2, 3))
    meta = {"task": task, "classes": [str(index) for index in range(CLASSES)]}
    return CropStore(Path("noise"), crops, labels, spec, meta)
