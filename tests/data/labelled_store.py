"""A store of noise whose six crops are labelled for head pose or classification."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmsa.data.crops import CropSpec
from cmsa.data.samples import Sample, sources_of
from cmsa.data.store import CropStore
from cmsa.data.store_writer import build_store


def labelled_store(out: Path, task: str, spec: CropSpec) -> CropStore:
    """Pictures of the input's size: angles within 40 degrees, or cat, dog and eel in turn."""
    random = np.random.default_rng(0)
    labels = [
        {"angles": random.uniform(-40, 40, 3).astype(np.float32)} if task == "head_pose" else {"label": np.int64(n % 3)}
        for n in range(6)
    ]
    samples = [Sample(random.integers(0, 256, (*spec.size, 3), dtype=np.uint8), entry) for entry in labels]
    meta = {"task": task} | ({"classes": ["cat", "dog", "eel"]} if task == "classification" else {})
    return build_store(out, sources_of(samples, spec), spec, meta=meta, progress=False)
