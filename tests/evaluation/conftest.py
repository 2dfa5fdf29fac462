"""A tiny network that has learned nothing, and the people that it is scored on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_people import SIZE, TINY, people_store, write_people

from cmsa.data.store import CropStore
from cmsa.models.create import create_model
from cmsa.models.weights import save_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_people(folder)
    torch.manual_seed(0)
    save_weights(folder / "model.safetensors", create_model("cmsa_n", "pose", SIZE, **TINY))
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> CropStore:
    return people_store(folder, "val.crops", training=False)
