"""A tiny network that has learned nothing, and the people that it is scored on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_people import people_store, tiny_weights, write_people

from cmsa.data.store import CropStore


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_people(folder)
    tiny_weights(folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> CropStore:
    return people_store(folder, "val.crops", training=False)
