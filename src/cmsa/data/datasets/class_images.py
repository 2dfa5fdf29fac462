"""Small images with one label each, all in memory, whatever layout they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ClassDataError(ValueError):
    """A file or folder is missing or of another kind; the message names it and what was expected."""


@dataclass(frozen=True, eq=False)
class ClassImages:
    """N images of one size.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N,) int64, places in ``classes``.
        classes: names.
        source: what they are, for the store and the reports.

    Raises:
        ClassDataError: shapes or types are others, or a label is none of the classes.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or shape[3] != 3 or not len(self.images):
            raise ClassDataError(f"{self.source}: images must be (N, H, W, 3) uint8, got {shape} {self.images.dtype}")
        if self.labels.shape != shape[:1]:
            raise ClassDataError(f"{self.source}: {self.labels.shape} labels for {len(self.images)} images")
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise ClassDataError(
                f"{self.source}: labels from {self.labels.min()} to {self.labels.max()} for {len(self.classes)} classes"
            )

    def __len__(self) -> int:
        return len(self.images)


def read_digits(*, training: bool) -> ClassImages:
    """Scikit-learn's 1,797 handwritten digits of 8x8 pixels (UCI optdigits), always the same random fifth held out.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("the digits come with scikit-learn: pip install scikit-learn") from error
    digits: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    held_out = len(order) // 5
    chosen = np.sort(order[held_out:] if training else order[:held_out])
    grey = np.rint(digits.images[chosen] * (255 / 16)).astype(np.uint8)
    names = tuple(str(name) for name in digits.target_names)
    part = "four fifths" if training else "a held-out fifth"
    return ClassImages(
        np.repeat(grey[..., None], 3, axis=3),
        digits.target[chosen].astype(np.int64),
        names,
        f"digits of scikit-learn, {part}",
    )


@dataclass(frozen=True)
class ImageFile:
    """A picture and the place of its class."""

    path: Path
    label: int


def scan_class_folders(folder: Path) -> tuple[list[ImageFile], tuple[str, ...]]:
    """The pictures of ``folder/CLASS/...``, sorted, and the names of the classes.

    Raises:
        ClassDataError: there is no such folder, or no sub-folder with pictures.
    """
    if not folder.is_dir():
        raise ClassDataError(f"{folder}: there is no such folder")
    found = {
        sub.name: sorted(path for path in sub.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
        for sub in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    }
    classes = tuple(name for name, files in found.items() if files)
    if not classes:
        raise ClassDataError(f"{folder}: must hold one sub-folder of pictures for each class")
    return [ImageFile(path, label) for label, name in enumerate(classes) for path in found[name]], classes


PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
