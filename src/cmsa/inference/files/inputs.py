"""Files and folders -> the pictures to predict, and where each annotated one goes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cmsa.data.image import is_picture_name


@dataclass(frozen=True)
class PictureFile:
    """A picture to predict.

    Attributes:
        path: of the file, as given.
        place: where its annotated picture goes below the folder of these, without suffix.
    """

    path: Path
    place: Path

    @property
    def name(self) -> str:
        """What results and messages call it: the path as it was given, with forward slashes."""
        return self.path.as_posix()


@dataclass
class Inputs:
    """What was found.

    Attributes:
        pictures: each file once, folders in the order of their names.
        missing: inputs that gave no picture, and why.
    """

    pictures: list[PictureFile] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)


def find_pictures(inputs: Iterable[str | Path], exclude: Path) -> Inputs:
    """Find the pictures of files and of folders with their sub-folders; hidden ones are not looked at.

    Args:
        inputs: files and folders.
        exclude: a folder to leave out: that of the annotated pictures, which are no pictures to predict.
    """
    found = Inputs()
    seen: set[Path] = set()
    for given in map(Path, inputs):
        if given.is_dir():
            files = [PictureFile(path, path.relative_to(given).with_suffix("")) for path in _walk(given, exclude)]
            if not files:
                found.missing.append((str(given), "the folder holds no picture"))
        elif given.exists():
            files = [PictureFile(given, Path(given.stem))]
        else:
            files = []
            found.missing.append((str(given), "there is no such file or folder"))
        for file in files:
            if file.path.resolve() not in seen:
                seen.add(file.path.resolve())
                found.pictures.append(file)
    return found


def annotated_paths(pictures: Sequence[PictureFile], folder: Path) -> list[Path]:
    """A file below ``folder`` for each picture's annotation: all differ, and none is one of the pictures."""
    taken = {picture.path.resolve() for picture in pictures}
    paths = []
    for picture in pictures:
        path, number = folder / f"{picture.place}.png", 1
        while path.resolve() in taken:
            number += 1
            path = folder / f"{picture.place}-{number}.png"
        taken.add(path.resolve())
        paths.append(path)
    return paths


def _walk(folder: Path, exclude: Path) -> Iterator[Path]:
    excluded = exclude.resolve()
    for root, subfolders, files in os.walk(folder):
        subfolders[:] = sorted(
            name for name in subfolders if not name.startswith(".") and Path(root, name).resolve() != excluded
        )
        for name in sorted(files):
            if is_picture_name(name):
                yield Path(root, name)
