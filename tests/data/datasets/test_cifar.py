import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from tiny_classes import dump, planes, write_cifar10, write_cifar100, write_parquet

from cmsa.data.datasets.cifar import read_array_pickle, read_cifar, read_parquet
from cmsa.data.datasets.class_images import ClassDataError


def test_cifar10(tmp_path: Path) -> None:
    images = write_cifar10(tmp_path)
    training = read_cifar(tmp_path, "cifar10", training=True)
    np.testing.assert_array_equal(training.images, images[:10])
    assert training.labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert training.classes[3] == "class 3"
    assert training.source == "CIFAR-10 train"
    test = read_cifar(tmp_path / "cifar-10-batches-py", "cifar10", training=False)
    np.testing.assert_array_equal(test.images, images[10:])


def test_cifar100_has_fine_labels(tmp_path: Path) -> None:
    images = write_cifar100(tmp_path)
    training = read_cifar(tmp_path, "cifar100", training=True)
    np.testing.assert_array_equal(training.images, images[:3])
    assert training.labels.tolist() == [99, 0, 50]
    assert len(training.classes) == 100
    assert read_cifar(tmp_path, "cifar100", training=False).labels.tolist() == [7]


@pytest.mark.parametrize("names_in", ["file", "metadata"])
def test_parquet(tmp_path: Path, names_in: str) -> None:
    images = write_parquet(tmp_path / "set", names_in=names_in)
    training = read_parquet(tmp_path / "set", training=True)
    np.testing.assert_array_equal(training.images, images[:4])
    assert training.labels.tolist() == [0, 1, 2, 0]
    assert training.classes == ("red", "green", "blue")
    assert read_parquet(tmp_path, training=False).labels.tolist() == [1, 2]


def test_parquet_without_names_or_columns(tmp_path: Path) -> None:
    write_parquet(tmp_path / "plain", label="label", names_in="nowhere")
    assert read_parquet(tmp_path / "plain", training=True).classes == ("0", "1", "2")
    write_parquet(tmp_path / "other", label="kind")
    with pytest.raises(ClassDataError, match=r"has none of the columns fine_label, label, labels, but image, kind"):
        read_parquet(tmp_path / "other", training=True)
    with pytest.raises(ClassDataError, match=r"holds no test\*\.parquet"):
        read_parquet(tmp_path / "none", training=False)
    (tmp_path / "plain" / "train-00000-of-00002.parquet").write_bytes(b"PAR1")
    with pytest.raises(ClassDataError, match="is not Parquet"):
        read_parquet(tmp_path / "plain", training=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('\ufeff["red", "green", "blue"]', ("red", "green", "blue")),
        ('{"0": "red"}', r"classes\.json: must hold a list of class names"),
        ("[1, 2, 3]", r"classes\.json: must hold a list of class names"),
        ("[", r"classes\.json: is not JSON"),
    ],
)
def test_the_names_of_parquet_classes(tmp_path: Path, text: str, expected: object) -> None:
    write_parquet(tmp_path / "set")
    (tmp_path / "set" / "classes.json").write_text(text, encoding="utf-8")
    if isinstance(expected, tuple):
        assert read_parquet(tmp_path / "set", training=True).classes == expected
        return
    with pytest.raises(ClassDataError, match=str(expected)):
        read_parquet(tmp_path / "set", training=True)


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (["wren", "owl"], None, ([1, 0], ("owl", "wren"))),
        (["wren", "owl"], ["wren", "owl", "tit"], ([0, 1], ("wren", "owl", "tit"))),
        (["wren", "owl"], ["wren"], "labels owl are none of the 1 named classes"),
        ([0.0, 1.0], None, "column 'label' must hold whole numbers, or names of classes, got float"),
        ([0, None], None, "must hold whole numbers, or names of classes, got NoneType, int"),
        ([], None, "holds not one row"),
    ],
)
def test_the_labels_of_parquet(tmp_path: Path, labels: list[object], names: object, expected: object) -> None:
    import io
    import json

    import pyarrow as arrow
    import pyarrow.parquet
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    images = arrow.array([{"bytes": buffer.getvalue()}] * len(labels), arrow.struct([("bytes", arrow.binary())]))
    kind = None if labels else arrow.int64()
    table = arrow.table({"image": images, "label": arrow.array(labels, kind)})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    if names is not None:
        (tmp_path / "classes.json").write_text(json.dumps(names), encoding="utf-8")
    if isinstance(expected, tuple):
        found = read_parquet(tmp_path, training=True)
        assert (found.labels.tolist(), found.classes) == expected
        return
    with pytest.raises(ClassDataError, match=str(expected)):
        read_parquet(tmp_path, training=True)


class Attack:
    """What a hostile pickle would do."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_cannot_run_code(tmp_path: Path) -> None:
    target = tmp_path / "harm"
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": Attack(target)}))
    with pytest.raises(ClassDataError, match=r"batch: is not a pickle of arrays \(posix\.mkdir has no place"):
        read_array_pickle(tmp_path / "batch")
    assert not target.exists()


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClassDataError, match=r"data_batch_1: cannot be read"):
        read_cifar(tmp_path, "cifar10", training=True)
    images = write_cifar100(tmp_path)
    folder = tmp_path / "cifar-100-python"
    whole = (folder / "train").read_bytes()
    (folder / "train").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ClassDataError, match="train: is not a pickle"):
        read_cifar(tmp_path, "cifar100", training=True)
    (folder / "train").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ClassDataError, match="must hold a dictionary, got list"):
        read_cifar(tmp_path, "cifar100", training=True)
    dump(folder / "train", {b"data": planes(images[:3])[:, :100], b"fine_labels": [0, 1, 2]})
    with pytest.raises(ClassDataError, match=r"'data' must be \(N, 3072\) uint8, got \(3, 100\) uint8"):
        read_cifar(tmp_path, "cifar100", training=True)
    dump(folder / "train", {b"data": planes(images[:3]), b"fine_labels": [0, 1]})
    with pytest.raises(ClassDataError, match=r"\(2,\) labels for 3 images"):
        read_cifar(tmp_path, "cifar100", training=True)
    dump(folder / "train", {b"data": planes(images[:3]), b"fine_labels": [0, 1, 100]})
    with pytest.raises(ClassDataError, match="labels from 0 to 100 for 100 classes"):
        read_cifar(tmp_path, "cifar100", training=True)


@pytest.mark.shared
def test_the_hub_layout_of_cifar100(shared: Path) -> None:
    test = read_parquet(shared / "data" / "cifar100", training=False)
    assert test.images.shape == (5000, 32, 32, 3)
    assert np.bincount(test.labels).tolist() == [50] * 100
    assert test.classes[:2] == ("apple", "aquarium_fish")
