from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmsa.data.datasets.class_images import (
    ClassDataError,
    ClassImages,
    read_class_folders,
    read_digits,
    scan_class_folders,
)
from cmsa.data.problems import Problems


def test_digits() -> None:
    pytest.importorskip("sklearn")
    training, test = read_digits(training=True), read_digits(training=False)
    assert (len(training), len(test)) == (1438, 359)
    assert training.images.shape[1:] == (8, 8, 3)
    assert training.images.max() == 255
    assert training.classes == tuple("0123456789")
    assert np.bincount(test.labels).min() > 25
    # The first digit is the well-known 0, whose first row is 0 0 5 13 9 1 0 0 of 16.
    everything = np.concatenate([training.images, test.images])[:, 0, :, 1].tolist()
    assert [0, 0, 80, 207, 143, 16, 0, 0] in everything


def test_class_folders(tmp_path: Path) -> None:
    for name, count in (("cat", 2), ("ant", 1), ("empty", 0)):
        (tmp_path / name / "more").mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (5, 4)).save(tmp_path / name / "more" / f"{index}.PNG")
    (tmp_path / "ant" / "notes.txt").write_text("none", encoding="utf-8")
    files, classes = scan_class_folders(tmp_path)
    assert classes == ("ant", "cat")
    assert [(file.path.parts[-3], file.label) for file in files] == [("ant", 0), ("cat", 1), ("cat", 1)]
    with pytest.raises(ClassDataError, match="there is no such folder"):
        scan_class_folders(tmp_path / "none")
    with pytest.raises(ClassDataError, match="one sub-folder of pictures for each class"):
        scan_class_folders(tmp_path / "empty")


def test_shapes_are_checked() -> None:
    with pytest.raises(ClassDataError, match=r"mine: images must be \(N, H, W, 3\) uint8, got \(2, 4, 4\)"):
        ClassImages(np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), ("a",), "mine")


def picture(path: Path, size: tuple[int, int] = (5, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path, format="PNG")


def test_every_readable_picture_counts_and_no_hidden_one(tmp_path: Path) -> None:
    for name in ("a/0.jfif", "b/0.avif", "c/0.JPE", "c/._0.png", "c/.cache/1.png", ".git/0.png"):
        picture(tmp_path / name)
    (tmp_path / "d").mkdir()
    problems = Problems()
    files, classes = scan_class_folders(tmp_path, problems)
    assert classes == ("a", "b", "c")
    assert [file.path.name for file in files] == ["0.jfif", "0.avif", "0.JPE"]
    assert problems.wrong == {"folder without a picture, no class": ["d"]}


@pytest.mark.parametrize(
    ("folders", "training", "taken"),
    [
        (["train/x", "train/y", "test/x"], True, "train"),
        (["train/x", "val/x", "notes"], False, "val"),
        (["training/x", "validation/x"], True, "training"),
        (["Training/x", "Validation/x"], False, "Validation"),
        (["owl", "wren"], True, "."),
        # A train may be a vehicle: with pictures of its own it is a class.
        (["train", "car"], False, "."),
    ],
)
def test_parts_are_no_classes(tmp_path: Path, folders: list[str], training: bool, taken: str) -> None:
    for folder in folders:
        picture(tmp_path / folder / "0.png")
    found = read_class_folders(training=training, images=tmp_path)
    root = tmp_path / taken
    assert found.meta["classes"] == sorted(path.name for path in root.iterdir())
    assert all(sample.apply_exif for sample in found.samples)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "x" / "0.png")
    with pytest.raises(ClassDataError, match="has the parts train, but none of test, testing, val, valid, validation"):
        read_class_folders(training=False, images=tmp_path)
    with pytest.raises(ClassDataError, match="there is no such folder"):
        read_class_folders(training=False, images=tmp_path / "none")
