from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_classes import write_cifar10, write_parquet

from cmsa.data.datasets.class_images import ClassDataError
from cmsa.data.prepare_classes import prepare_classes
from cmsa.data.store import StoreError

SIZE = (32, 32)


def test_a_store_keeps_the_very_pixels(tmp_path: Path) -> None:
    images = write_cifar10(tmp_path)
    store = prepare_classes("cifar10", tmp_path, tmp_path / "train.crops", size=SIZE, training=True)
    np.testing.assert_array_equal(store.crops, images[:10])
    assert store.labels["label"].tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    np.testing.assert_allclose(store.labels["matrix"][3], [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    assert store.meta["task"] == "classification"
    assert store.meta["classes"][9] == "class 9"
    assert store.spec.size == store.spec.store_size == SIZE
    assert not (tmp_path / "train.crops.partial").exists()
    with pytest.raises(StoreError, match="exists already"):
        prepare_classes("cifar10", tmp_path, tmp_path / "train.crops", size=SIZE, training=True)


def test_other_sizes_are_resized_but_never_stretched(tmp_path: Path) -> None:
    images = write_parquet(tmp_path / "set")
    small = prepare_classes("parquet", tmp_path / "set", tmp_path / "small.crops", size=(16, 16), training=False)
    expected = images[4].reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(small.crops[0] - expected).max() <= 1
    with pytest.raises(ClassDataError, match=r"images of 32x32 \(HxW\) for an input of 32x24"):
        prepare_classes("parquet", tmp_path / "set", tmp_path / "tall.crops", size=(32, 24), training=False)


def test_folders_of_pictures_of_any_size(tmp_path: Path) -> None:
    for part, name, size, grey in (
        ("train", "dark", (40, 20), 30),
        ("train", "light", (10, 10), 220),
        ("val", "dark", (64, 64), 31),
    ):
        folder = tmp_path / "set" / part / name
        folder.mkdir(parents=True)
        Image.new("L", size, grey).save(folder / "a.png")
    options = {"size": (16, 16), "progress": False}
    store = prepare_classes("folder", tmp_path / "set", tmp_path / "train.crops", training=True, **options)
    assert store.meta["classes"] == ["dark", "light"]
    assert store.labels["label"].tolist() == [0, 1]
    # 40 x 20 pixels fill the width, with black above and below.
    assert (store.crops[0, 5:11, 1:-1] == 30).all()
    assert (store.crops[0, [0, 2, 13, 15]] == 0).all()
    assert (store.crops[1, 1:-1, 1:-1] == 220).all()
    test = prepare_classes("folder", tmp_path / "set", tmp_path / "val.crops", training=False, **options)
    assert test.crops[0, 8, 8].tolist() == [31, 31, 31]


def test_digits_and_wrong_arguments(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    store = prepare_classes("digits", None, tmp_path / "digits.crops", size=(16, 16), training=False)
    assert store.crops.shape == (359, 16, 16, 3)
    assert "held-out fifth" in store.meta["data"]
    with pytest.raises(ValueError, match="the folder of the data set is missing"):
        prepare_classes("cifar10", None, tmp_path / "x.crops", size=SIZE, training=True)
    with pytest.raises(ValueError, match="no layout 'svhn'"):
        prepare_classes("svhn", tmp_path, tmp_path / "x.crops", size=SIZE, training=True)  # type: ignore[arg-type]
