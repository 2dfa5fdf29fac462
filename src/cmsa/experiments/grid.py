"""A grid over a recipe's entries: which cells it has, and what each is called."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

ROW = "row"
"""The axis of a table of recipes."""
LONGEST_NAME = 200
"""Of a folder; file systems take 255 bytes."""


@dataclass(frozen=True)
class Axis:
    """Entries of a recipe that change together.

    Attributes:
        entries: names of entries, and as many values of each, as they are written on the command line. In folders and
            tables the first entry stands for those that follow it.
    """

    entries: dict[str, tuple[str, ...]]

    @property
    def entry(self) -> str:
        """The first entry's name."""
        return next(iter(self.entries))

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the steps."""
        return self.entries[self.entry]


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        name: of its folder; says its values.
        values: label of the cell's step by axis.
        overrides: for ``load_recipe``, seed and all.
        seed: of weights, order and augmentation; None for the recipe's own.
        row: of a table of recipes; none of a single recipe.
    """

    name: str
    values: dict[str, str]
    overrides: list[str]
    seed: int | None
    row: str = ""


def parse_axis(words: Sequence[str]) -> Axis:
    """``["model.input_size=[32,24],[64,48]", "data.train=[a.crops],[b.crops]"]`` as an axis of two steps.

    An entry with one value has it at every step.

    Raises:
        ValueError: a word is not ENTRY=VALUE,VALUE, or entries have different numbers of values.
    """
    entries: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        values = tuple(split_values(text))
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", name) or not all(values):
            raise ValueError(f"--set {word}: is not ENTRY=VALUE,VALUE, e.g. optimizer.learning_rate=1e-3,2e-3")
        if name in entries:
            raise ValueError(f"--set {word}: names {name} twice")
        entries[name] = values
    counts = {name: len(values) for name, values in entries.items()}
    steps = max(counts.values())
    if any(count not in (1, steps) for count in counts.values()):
        told = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise ValueError(f"--set {' '.join(words)}: what changes together needs as many values: {told}")
    return Axis({name: values * (steps // len(values)) for name, values in entries.items()})


def split_values(text: str) -> list[str]:
    """Split at commas, but not at those within brackets, braces or quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def cells_of(axes: Sequence[Axis], seeds: Sequence[int] = (), rows: Sequence[str] = ()) -> list[Cell]:
    """Every combination of the axes' steps, with every seed; the seed changes last, so that each cell has a score soon.

    Args:
        axes: of the grid.
        seeds: the recipe's own by default.
        rows: of a table of recipes, its own axis.

    Raises:
        ValueError: two axes set the same entry, or two cells would have the same folder.
    """
    names = Counter(name for axis in axes for name in axis.entries)
    if seeds:
        names["seed"] += 1
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)}: set twice; entries that change together stand in one --set")
    titles = _titles(axes)
    found: list[Cell] = []
    every: Sequence[int | None] = list(seeds) or [None]
    places = list(product(*(range(len(axis.labels)) for axis in axes)))
    for seed, row, steps in product(every, list(rows) or [""], places):
        chosen = {title: axis.labels[step] for title, axis, step in zip(titles, axes, steps, strict=True)}
        values = ({ROW: row} if row else {}) | chosen
        seeded = {} if seed is None else {"seed": str(seed)}
        overrides = [
            f"--{name}={given[step]}"
            for axis, step in zip(axes, steps, strict=True)
            for name, given in axis.entries.items()
        ]
        overrides += [f"--{name}={value}" for name, value in seeded.items()]
        found.append(Cell(folder_name(values | seeded), values, overrides, seed, row))
    alike = [name for name, count in Counter(cell.name for cell in found).items() if count > 1]
    if alike:
        raise ValueError(f"{', '.join(alike)}: two cells of this name")
    return found


def folder_name(values: dict[str, str]) -> str:
    """``{"input_size": "[32, 24]", "seed": "0"}`` as ``input_size=32-24,seed=0``."""
    plain = ",".join(f"{name}={_plain(value)}" for name, value in values.items()) or "run"
    if len(plain) <= LONGEST_NAME:
        return plain
    digest = hashlib.blake2b(repr(values).encode(), digest_size=4).hexdigest()
    return f"{plain[:LONGEST_NAME]}-{digest}"


def _plain(value: str) -> str:
    # Brackets and quotes tell nothing that the order of the values does not tell.
    return re.sub(r"[^\w.+-]+", "-", re.sub(r"[\[\](){}'\" ]+", "", value), flags=re.ASCII) or "none"


def _titles(axes: Sequence[Axis]) -> list[str]:
    """The axes' names, or their entries' whole names where several end alike."""
    short = [axis.entry.rpartition(".")[2] for axis in axes]
    return [
        title if [*short, "seed"].count(title) == 1 else axis.entry for title, axis in zip(short, axes, strict=True)
    ]
