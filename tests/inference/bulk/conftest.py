"""Weights, and photos of which some are broken and one is not named by the file of boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cmsa.models.create import create_model
from cmsa.models.weights import save_weights

BROKEN = 3, 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``photos`` (40), ``pose.safetensors``, ``classification.safetensors`` and ``boxes.json``."""
    home = tmp_path_factory.mktemp("bulk")
    torch.manual_seed(0)
    save_weights(home / "pose.safetensors", create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16)))
    labels = create_model("cmsa_n", "classification", (32, 32), dims=(16, 16, 16))
    save_weights(home / "classification.safetensors", labels)
    random = np.random.default_rng(0)
    (home / "photos" / "weiß").mkdir(parents=True)
    boxes = []
    for number in range(40):
        name = f"photos/{'weiß/' if number > 30 else ''}{number:03}.png"
        if number in BROKEN:
            (home / name).write_bytes(b"no picture")
            continue
        coarse = random.integers(0, 256, (6, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((90, 60), Image.Resampling.BICUBIC).save(home / name)
        if number != 7:
            corners = [(10 + number, 10, 30, 40), (40, 5, 24, 24), (500, 0, 9, 9)][: number % 4]
            image_id = 1000 - number if number % 2 else number
            boxes += [{"file_name": name, "image_id": image_id, "bbox": box, "score": 0.5} for box in corners]
    (home / "boxes.json").write_text(json.dumps(boxes))
    return home
