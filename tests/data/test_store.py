from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from noise_store import SPEC, assert_whole, build, sources_in

from cmsa.data.crop_source import CropSource
from cmsa.data.store import CropStore, StoreError


@pytest.fixture
def sources(tmp_path: Path) -> list[CropSource]:
    return sources_in(tmp_path / "pictures")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_store_holds_every_crop_and_label(sources: list[CropSource], tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "people.crops"
    built = build(folder, sources, meta={"set": "noise"}, workers=workers)
    for store in (built, CropStore.open(folder), pickle.loads(pickle.dumps(built))):
        assert_whole(store, sources)
        assert store.spec == SPEC
        assert store.meta == {"set": "noise", "unreadable": []}
        assert not store.crops.flags.writeable
    assert sorted(file.name for file in folder.iterdir()) == ["crops.npy", "labels.npz", "meta.json", "stamps.npy"]
    assert not (tmp_path / "people.crops.partial").exists()


def test_read_gives_tensors_in_the_order_asked(sources: list[CropSource], tmp_path: Path) -> None:
    store = build(tmp_path / "s.crops", sources)
    batch = store.read([7, 0, 7])
    assert batch["crops"].shape == (3, *SPEC.store_size, 3)
    assert batch["crops"].dtype == torch.uint8
    np.testing.assert_array_equal(batch["crops"].numpy(), store.crops[[7, 0, 7]])
    assert batch["keypoints"].dtype == batch["matrix"].dtype == torch.float32
    assert batch["matrix"].shape == (3, 2, 3)
    assert batch["identity"].dtype == torch.int64
    assert batch["identity"].tolist() == [31, 0, 31]
    assert "name" not in batch
    assert store.read(slice(2, 5))["identity"].tolist() == [10, 11, 20]
    batch["crops"].zero_()
    assert store.crops[7].any()


def test_missing_and_damaged_stores_say_what_to_do(sources: list[CropSource], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent\.crops: there is no crop store; prepare one first"):
        CropStore.open(tmp_path / "absent.crops")
    with pytest.raises(StoreError, match=r"not a crop store .*prepare one in another folder") as refused:
        CropStore.open(tmp_path)
    assert "delete" not in str(refused.value)  # it may be the folder of the photos
    folder = tmp_path / "s.crops"
    build(folder, sources)
    crops = (folder / "crops.npy").read_bytes()
    (folder / "crops.npy").write_bytes(crops[:-1])
    with pytest.raises(StoreError, match=r"damaged .* prepare it again"):
        CropStore.open(folder)
    np.save(folder / "crops.npy", np.zeros((12, 5, 5, 3), np.uint8))
    with pytest.raises(StoreError, match=r"must hold uint8 of shape \(N, .*got uint8 of shape \(12, 5, 5, 3\)"):
        CropStore.open(folder)
    np.save(folder / "crops.npy", np.zeros((11, *SPEC.store_size, 3), np.uint8))
    with pytest.raises(StoreError, match="has 12 entries for 11 crops"):
        CropStore.open(folder)
    (folder / "crops.npy").write_bytes(crops)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"format": 0}))
    with pytest.raises(StoreError, match="format 0, expected 2"):
        CropStore.open(folder)
    (folder / "labels.npz").unlink()
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(StoreError, match=r"damaged .*labels\.npz"):
        CropStore.open(folder)
