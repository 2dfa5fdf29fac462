"""CIFAR-10 and CIFAR-100: the official Python archives, and Parquet as the Hugging Face hub lays it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cmsa.data.datasets.array_pickle import load_array_pickle
from cmsa.data.datasets.class_images import ClassDataError, ClassImages
from cmsa.data.image import ImageError, read_image
from cmsa.data.samples import Samples
from cmsa.files.read_json import JsonError, parse_json, read_json

Cifar = Literal["cifar10", "cifar100"]

_TRAIN_FILES = {"cifar10": [f"data_batch_{number}" for number in range(1, 6)], "cifar100": ["train"]}
_TEST_FILES = {"cifar10": ["test_batch"], "cifar100": ["test"]}
_LABELS = {"cifar10": b"labels", "cifar100": b"fine_labels"}
_NAMES = {"cifar10": ("batches.meta", b"label_names"), "cifar100": ("meta", b"fine_label_names")}
_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}

_IMAGE_COLUMNS = ("image", "img")
MOST_CLASSES = 1_000_000
"""Without names; a label above is a mistake."""
_LABEL_COLUMNS = ("fine_label", "label", "labels")


def read_array_pickle(path: Path) -> dict[Any, Any]:
    """A pickled dictionary of arrays, lists, numbers and text; its text keys are bytes, as Python 2 wrote them.

    Raises:
        ClassDataError: the file is missing, damaged, holds something else, or would run code.
    """
    try:
        content = load_array_pickle(path.read_bytes())
    except OSError as error:
        raise ClassDataError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # damaged pickles raise whatever the bytes happen to mean
        raise ClassDataError(f"{path}: is not a pickle of arrays ({error})") from error
    if not isinstance(content, dict):
        raise ClassDataError(f"{path}: must hold a dictionary, got {type(content).__name__}")
    return content


def read_cifar(folder: Path, kind: Cifar, *, training: bool) -> ClassImages:
    """Read the official archive, unpacked.

    Args:
        folder: ``cifar-10-batches-py`` or ``cifar-100-python``, or the folder that holds it.
        kind: which of them.
        training: the 50,000 training images; otherwise the 10,000 test images.

    Raises:
        ClassDataError: a file is missing, damaged or of another kind.
    """
    root = folder / _FOLDERS[kind] if (folder / _FOLDERS[kind]).is_dir() else folder
    images, labels = [], []
    for name in (_TRAIN_FILES if training else _TEST_FILES)[kind]:
        content = read_array_pickle(root / name)
        images.append(_planes(root / name, content.get(b"data")))
        labels.append(_whole_numbers(root / name, _LABELS[kind], content))
    names_file, key = _NAMES[kind]
    names = read_array_pickle(root / names_file).get(key)
    if not isinstance(names, list):
        raise ClassDataError(f"{root / names_file}: has no list {key.decode()!r}")
    classes = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
    source = f"{_TITLES[kind]} {'train' if training else 'test'}"
    return ClassImages(np.concatenate(images), np.concatenate(labels), classes, source)


def cifar(*, training: bool, images: Path, kind: Cifar) -> Samples:
    """The reader of ``cmsa prepare --dataset cifar10`` and ``cifar100``."""
    return read_cifar(images, kind, training=training).as_samples()


def parquet(*, training: bool, images: Path) -> Samples:
    """The reader of ``cmsa prepare --dataset parquet``."""
    return read_parquet(images, training=training).as_samples()


def _whole_numbers(path: Path, key: bytes, content: dict[Any, Any]) -> NDArray[np.int64]:
    """The labels, (N,)."""
    try:
        labels = np.asarray(content.get(key, ()))
        if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
            raise ValueError(f"got {labels.dtype} of shape {labels.shape}")
    except ValueError as error:
        raise ClassDataError(f"{path}: {key.decode()!r} must be a list of whole numbers ({error})") from error
    return labels.astype(np.int64)


def _planes(path: Path, data: Any) -> NDArray[np.uint8]:
    """(N, 3072) of red, green and blue planes -> (N, 32, 32, 3)."""
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
        found = f"{data.shape} {data.dtype}" if isinstance(data, np.ndarray) else type(data).__name__
        raise ClassDataError(f"{path}: 'data' must be (N, 3072) uint8, got {found}")
    return np.ascontiguousarray(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def read_parquet(folder: Path, *, training: bool) -> ClassImages:
    """Read Parquet files whose rows hold an encoded image and a label.

    Args:
        folder: holds ``train*.parquet`` and ``test*.parquet``, or has them in a sub-folder. The columns are
            ``image`` or ``img``, with the field ``bytes``, and ``fine_label`` or ``label``. Class names come from
            ``classes.json`` beside the files, or from the description that the hub writes into them.
        training: the training files; otherwise the test files.

    Raises:
        ClassDataError: there are no such files or columns, an image cannot be read, or the images differ in size.
    """
    import pyarrow.parquet

    part = "train" if training else "test"
    files = sorted(folder.glob(f"{part}*.parquet")) or sorted(folder.rglob(f"{part}*.parquet"))
    if not files:
        raise ClassDataError(f"{folder}: holds no {part}*.parquet")
    images: list[NDArray[np.uint8]] = []
    labels: list[int | str] = []
    classes: tuple[str, ...] | None = None
    for file in files:
        try:
            table = pyarrow.parquet.read_table(file)
        except Exception as error:  # pyarrow has many kinds
            raise ClassDataError(f"{file}: is not Parquet ({error})") from error
        image_column, label_column = (_column(file, table.column_names, names) for names in _COLUMNS)
        classes = classes or _class_names(file, table.schema.metadata, label_column)
        labels += _labels(file, label_column, table[label_column].to_pylist())
        images += [_decoded(file, row, cell) for row, cell in enumerate(table[image_column].to_pylist())]
    if not images:
        raise ClassDataError(f"{folder}: {part}*.parquet holds not one row")
    if len({image.shape for image in images}) != 1:
        raise ClassDataError(f"{folder}: the images of {part}*.parquet differ in size; take them as a folder")
    numbers, classes = _numbered(files[0], labels, classes)
    # Such files need not hold the whole of a set that they are called after: the number belongs to the name.
    source = f"{len(images):,} images of {folder.name}/{part}*.parquet"
    return ClassImages(np.stack(images), np.array(numbers, np.int64), classes, source)


_COLUMNS = (_IMAGE_COLUMNS, _LABEL_COLUMNS)


def _column(file: Path, present: list[str], wanted: tuple[str, ...]) -> str:
    for name in wanted:
        if name in present:
            return name
    raise ClassDataError(f"{file}: has none of the columns {', '.join(wanted)}, but {', '.join(present)}")


def _labels(file: Path, column: str, values: list[Any]) -> list[int | str]:
    kinds = {type(value) for value in values}
    if len(kinds) > 1 or not kinds <= {int, str}:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ClassDataError(f"{file}: column {column!r} must hold whole numbers, or names of classes, got {found}")
    return values


def _numbered(
    file: Path, labels: list[int | str], classes: tuple[str, ...] | None
) -> tuple[list[int], tuple[str, ...]]:
    """Labels as places in the classes; without names of these, the labels that occur are the names."""
    numbers = [label for label in labels if isinstance(label, int)]
    if len(numbers) == len(labels):
        if classes is None and max(numbers) >= MOST_CLASSES:
            raise ClassDataError(
                f"{file}: labels up to {max(numbers):,} are too many classes to be numbers; name them in classes.json"
            )
        return numbers, classes or tuple(map(str, range(max(numbers) + 1)))
    texts = [str(label) for label in labels]
    classes = classes or tuple(sorted(set(texts)))
    unknown = sorted(set(texts) - set(classes))
    if unknown:
        raise ClassDataError(f"{file}: labels {', '.join(unknown[:5])} are none of the {len(classes)} named classes")
    return [classes.index(text) for text in texts], classes


def _class_names(file: Path, metadata: dict[bytes, bytes] | None, column: str) -> tuple[str, ...] | None:
    """Names from ``classes.json``, which must be a list of text where it is there, or from the hub's description."""
    beside = file.parent / "classes.json"
    if beside.is_file():
        try:
            names = read_json(beside)
        except JsonError as error:
            raise ClassDataError(str(error)) from error
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ClassDataError(f"{beside}: must hold a list of class names in the order of the labels")
        return tuple(names)
    try:
        described = parse_json((metadata or {})[b"huggingface"], str(file))
        return tuple(map(str, described["info"]["features"][column]["names"]))
    except (KeyError, TypeError, ValueError):
        return None


def _decoded(file: Path, row: int, cell: Any) -> NDArray[np.uint8]:
    try:
        return read_image(cell["bytes"] if isinstance(cell, dict) else cell)
    except (ImageError, KeyError, TypeError) as error:
        raise ClassDataError(f"{file}: the image of row {row} cannot be read ({error})") from error
