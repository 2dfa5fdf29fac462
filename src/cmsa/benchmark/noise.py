"""A training store of noise: crops and labels of the shapes that a task trains on, without any files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.data.datasets import FACES, PEOPLE, WHOLE_IMAGES
from cmsa.data.store import CropStore
from cmsa.structures import COCO

CLASSES = 100


def noise_store(task: str, size: tuple[int, int], count: int) -> CropStore:
    """``count`` crops for inputs of ``size`` (H, W), cut as ``cmsa prepare --for train`` cuts them for the task.

    Keypoints lie all over the input and are visible, angles are up to 60° either way, and there are 100 classes.
    """
    numbers = np.random.default_rng(0)
    labels: dict[str, NDArray[Any]]
    if task == "pose":
        spec = PEOPLE.spec(size, training=True)
        # Pixels of the picture are those of the input here.
        places = numbers.uniform(0, size[::-1], (count, len(COCO), 2))
        labels = {"keypoints": np.concatenate([places, np.full((count, len(COCO), 1), 2)], axis=2)}
    elif task == "head_pose":
        spec = FACES.spec(size, training=True)
        labels = {"angles": numbers.uniform(-60, 60, (count, 3))}
    else:
        spec = WHOLE_IMAGES.spec(size, training=True)
        labels = {"label": numbers.integers(0, CLASSES, count)}
    crops = numbers.integers(0, 256, (count, *spec.store_size, 3), dtype=np.uint8)
    labels["matrix"] = np.broadcast_to(spec.base_to_store, (count, 2, 3))
    meta = {"task": task, "classes": [str(index) for index in range(CLASSES)]}
    return CropStore(Path("noise"), crops, labels, spec, meta)
