"""What papers print: rivals' rows from files of the package, CMSA's own from the shipped recipes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmsa.training.recipe_files import read_recipe, shipped_names

FOLDER = Path(__file__).with_name("published")
COLUMNS = {"model", "data", "input_h", "input_w", "parameters_m", "macs_g", "source"}
"""Of a file; all others are scores."""
PAPER = "CMSA paper"
PERCENT = {"pose", "classification"}
"""Tasks whose scores are printed in percent, and measured as fractions of 1."""
SCORED_ON = {"pose": "coco-val2017"}
"""What the paper's rows of a task are scored on, where the validation store's name does not begin with it."""
STORES = {"coco-val2017": "coco-val"}
"""How names of a data set's stores begin, where not with its own; as recipes and documents call them."""
SCORED_SAMPLES = {
    "coco-val2017": (6352,),
    "cifar10": (10_000,),
    "cifar100": (10_000,),
    "aflw2000": (1969, 2000),
}
"""How many samples papers score: people with a marked keypoint, who are no crowd; of AFLW2000 those of angles within
99°, or all. Of BIWI it is as many as a face detector found."""


@dataclass(frozen=True)
class Published:
    """One row of a paper's table.

    Attributes:
        model, data: their names.
        input_size: (H, W), where it is told.
        parameters: in millions; macs: in units of 1e9, where they are told.
        scores: as printed: percent, or degrees.
        source: who says so.
    """

    model: str
    data: str
    input_size: tuple[int, int] | None
    parameters: float | None
    macs: float | None
    scores: dict[str, float]
    source: str

    def is_of(self, store: str, samples: int | None = None) -> bool:
        """Whether a store is of the same data.

        Args:
            store: its name: ``cifar10-test`` is of ``cifar10``, ``cifar100-test`` is not.
            samples: how many it has, where that is known: a part of the data is other data.
        """
        names = (f"{self.data}-", f"{STORES.get(self.data, self.data)}-")
        whole = samples is None or samples in SCORED_SAMPLES.get(self.data, (samples,))
        return f"{store}-".startswith(names) and whole


def percent_of(task: str) -> float:
    """What a measured score of a task is multiplied by where it is printed."""
    return 100.0 if task in PERCENT else 1.0


def with_unit(score: str, task: str) -> str:
    """A printed score's name in a plot."""
    return f"{score}, %" if task in PERCENT else score


def published_rows(task: str) -> list[Published]:
    """All rows of a task, in the tables' order; those of CMSA come last. None of a task that no table is of."""
    file = FOLDER / f"{task}.csv"
    if not file.is_file():
        return []
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [_from_csv(row) for row in csv.DictReader(lines)] + [
        row for _, recipe in shipped_recipes() if recipe["model"]["task"] == task for row in rows_of_recipe(recipe)
    ]


def shipped_recipes() -> list[tuple[str, dict[str, Any]]]:
    """Names and entries, as they are written, of the recipes in the package."""
    return [(name, read_recipe(name)) for name in shipped_names()]


def rows_of_recipe(recipe: Mapping[str, Any]) -> list[Published]:
    """What a recipe says was published of it: one row for each data set."""
    entries = dict(recipe.get("published") or {})
    parameters, macs = (entries.pop(name, None) for name in ("parameters_m", "macs_g"))
    entries.pop("boxes", None)
    nested = {name: scores for name, scores in entries.items() if isinstance(scores, Mapping)}
    plain = {name: float(score) for name, score in entries.items() if not isinstance(score, Mapping)}
    by_data = nested | ({_data_of(recipe): plain} if plain else {})
    title, size = str(recipe["title"]), recipe["model"]["input_size"]
    ending = " (step schedule)" if recipe["optimizer"]["schedule"] == "step" else ""
    return [
        Published(title.partition(" ")[0] + ending, data, (size[0], size[1]), parameters, macs, dict(scores), PAPER)
        for data, scores in by_data.items()
    ]


def _data_of(recipe: Mapping[str, Any]) -> str:
    of_store = Path(recipe["data"]["validate"][0]).stem.partition("-")[0]
    return SCORED_ON.get(recipe["model"]["task"], of_store)


def _from_csv(row: dict[str, str]) -> Published:
    size = (int(row["input_h"]), int(row["input_w"])) if row["input_h"] else None
    scores = {name: float(value) for name, value in row.items() if name not in COLUMNS and value}
    parameters, macs = (float(row[name]) if row[name] else None for name in ("parameters_m", "macs_g"))
    return Published(row["model"], row["data"], size, parameters, macs, scores, row["source"])
