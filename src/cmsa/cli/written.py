"""Nothing that a command reads is written over, whichever of its options says so.

A command that writes has ``written(options)``: the files that it will write, as far as its line tells. They are held
against all else that the line names, and, where it trains or scores a recipe, against what the recipe names.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmsa.training.recipe import Recipe

OUTPUTS = frozenset(("out", "json", "samples", "submit", "gallery", "pictures"))
"""Options that name what is written; all others that name a file or a folder name what is read."""


def refuse_overwriting(written: Sequence[Path], read: Iterable[Path]) -> None:
    """Refuse files to write that are read, or that two options name.

    Args:
        written: the files to write.
        read: files, and folders whose pictures, or whose files if they are stores, are read.

    Raises:
        ValueError: one is read by whatever name, or named twice.
    """
    from cmsa.files.whole import refuse_own_input

    read = list(read)
    places: set[str] = set()
    for path in written:
        if path.is_dir():
            continue
        refuse_own_input(path, *read, path if any(_reads(folder, path) for folder in read) else None)
        place = os.path.realpath(path)
        if place in places:
            raise ValueError(f"{path}: two options name it as the file to write")
        places.add(place)


def _reads(folder: Path, path: Path) -> bool:
    """Whether a file that is there is one of those that a command looks at in a folder."""
    from cmsa.data.image import is_picture_name

    if not folder.is_dir() or not path.resolve().is_relative_to(folder.resolve()):
        return False
    return is_picture_name(path.name) or (folder / "meta.json").is_file()


def named_files(options: argparse.Namespace) -> Iterator[Path]:
    """What a command's line names to be read, and is there."""
    for name, value in vars(options).items():
        if name in OUTPUTS:
            continue
        for given in value if isinstance(value, list | tuple) else [value]:
            if name in ("recipe", "recipes"):
                from cmsa.training.recipe_files import recipe_path

                try:
                    yield recipe_path(str(given))
                except (FileNotFoundError, ValueError, OSError):
                    continue
            yield from _files_of(given)


def _files_of(given: Any) -> Iterator[Path]:
    """The files that one value may stand for, among them what belongs to them."""
    if not isinstance(given, str | Path):
        return
    text = str(given).partition("?")[0]  # the options of a detector
    for place in (given, text, text.partition(":")[2]):  # head:FILE.onnx
        path = Path(place)
        try:
            if str(place) and path.exists():
                yield path
                yield path.with_suffix(".bin")  # OpenVINO's weights
                yield path / "model.safetensors"  # of a folder that is named for its weights
        except (OSError, ValueError):  # a name that no file can have
            continue


def files_of_recipe(recipe: Recipe) -> Iterator[Path]:
    """What a recipe names to be read, and is there: weights, stores, and what missing stores are made of."""
    from cmsa.cli.prepare import parse_line

    yield from _files_of(recipe.model.init)
    yield from _files_of(recipe.teacher.weights)
    for folder in recipe.data.train + recipe.data.validate:
        yield from _files_of(folder)
    for line in recipe.data.prepare:
        yield from named_files(parse_line(line))
