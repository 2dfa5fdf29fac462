"""Images with one label each: all in memory, whatever layout they come from, or in a folder for each class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmsa.data.image import is_picture_name
from cmsa.data.problems import Problems
from cmsa.data.samples import Sample, Samples
from cmsa.guidance.extras import load

WHOLE = "whole images"
"""The box source of a classification store."""
TRAIN_PARTS = ("train", "training")
TEST_PARTS = ("test", "testing", "val", "valid", "validation")


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

    def as_samples(self) -> Samples:
        """One for each image, the whole of it; label: ``label``, int64."""
        samples = (
            Sample(image, {"label": np.int64(label)})
            for image, label in zip(self.images, self.labels.tolist(), strict=True)
        )
        return Samples(samples, {"data": self.source, "classes": list(self.classes), "box_source": WHOLE})


def read_digits(*, training: bool) -> ClassImages:
    """Scikit-learn's 1,797 handwritten digits of 8x8 pixels (UCI optdigits), always the same random fifth held out.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    digits = load("sklearn.datasets", "the data set digits").load_digits()
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


def digits(*, training: bool) -> Samples:
    """The reader of ``cmsa prepare --dataset digits``."""
    return read_digits(training=training).as_samples()


@dataclass(frozen=True)
class ImageFile:
    """A picture and the place of its class."""

    path: Path
    label: int


def read_class_folders(*, training: bool, images: Path) -> Samples:
    """Pictures of any size in ``images/CLASS/...``, or in the part of these that is asked for.

    Where ``images`` has folders named train, test, val or the like, one of them is taken: ``train`` or ``training``,
    otherwise ``test``, ``testing``, ``val``, ``valid`` or ``validation``. A folder with pictures of its own is a class,
    whatever it is called. Pictures are turned as their EXIF orientation says, as they are when they are predicted.

    Raises:
        ClassDataError: there is no such folder, not the part asked for, or no sub-folder with pictures.
    """
    root = _part(images, training)
    problems = Problems()
    files, classes = scan_class_folders(root, problems)
    meta = {"data": root.name, "classes": list(classes), "box_source": WHOLE}
    samples = (Sample(file.path, {"label": np.int64(file.label)}, apply_exif=True) for file in files)
    return Samples(samples, meta, problems=problems)


def _part(folder: Path, training: bool) -> Path:
    if not folder.is_dir():
        raise ClassDataError(f"{folder}: there is no such folder")
    parts = {sub.name.lower(): sub for sub in _subfolders(folder) if sub.name.lower() in TRAIN_PARTS + TEST_PARTS}
    parts = {name: sub for name, sub in parts.items() if not any(is_picture_name(path.name) for path in sub.iterdir())}
    wanted = TRAIN_PARTS if training else TEST_PARTS
    for name in wanted:
        if name in parts:
            return parts[name]
    if parts:
        raise ClassDataError(f"{folder}: has the parts {', '.join(sorted(parts))}, but none of {', '.join(wanted)}")
    return folder


def scan_class_folders(folder: Path, problems: Problems | None = None) -> tuple[list[ImageFile], tuple[str, ...]]:
    """The pictures of ``folder/CLASS/...``, sorted, and the names of the classes; hidden files do not count.

    Args:
        folder: of the classes.
        problems: where to note folders without a picture, which are no class.

    Raises:
        ClassDataError: there is no such folder, or no sub-folder with pictures.
    """
    if not folder.is_dir():
        raise ClassDataError(f"{folder}: there is no such folder")
    found = {
        sub.name: sorted(
            path
            for path in sub.rglob("*")
            if is_picture_name(path.name) and not any(part.startswith(".") for part in path.relative_to(sub).parts)
        )
        for sub in _subfolders(folder)
    }
    classes = tuple(name for name, files in found.items() if files)
    if not classes:
        raise ClassDataError(f"{folder}: must hold one sub-folder of pictures for each class")
    for name in sorted(found.keys() - set(classes)):
        if problems is not None:
            problems.add("folder without a picture, no class", name)
    return [ImageFile(path, label) for label, name in enumerate(classes) for path in found[name]], classes


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
