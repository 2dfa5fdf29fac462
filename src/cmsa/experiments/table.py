"""Runs -> one row for each cell: mean, standard deviation and number over the seeds."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmsa.data.store import names_of
from cmsa.experiments.page import markdown_table
from cmsa.experiments.runs import Run
from cmsa.files.whole import whole_file
from cmsa.files.write_json import write_json
from cmsa.guidance.suggestion import did_you_mean
from cmsa.metrics.table import below, shown
from cmsa.models.cost import Cost, cost_of
from cmsa.models.create import load_weights
from cmsa.models.fuse import fuse
from cmsa.tasks import task_named
from cmsa.training.recipe import Recipe

if TYPE_CHECKING:
    from rich.console import Group

NOTHING = "-"
NOBODY = -1.0
COUNTED = ("n", "params, M", "MACs, G")
COSTS = ("parameters", "multiply_adds", "with_attention")
"""Of ``Cost``."""
SAMPLES = {"people": ("person", "people"), "images": ("image", "images"), "count": ("sample", "samples")}
"""Scores that count what a store's others are of, and what one and several of these are called."""
MACS = "multiply-adds of one image through the fused network, products of queries, keys and values included."


@dataclass(frozen=True)
class Spread:
    """One score over the seeds.

    Attributes:
        values: of the runs that have it.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of at least one value."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """The sample's standard deviation (of n - 1); None of a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def __str__(self) -> str:
        if not self.values:
            return NOTHING
        if len(set(self.values)) == 1 and self.mean > 1:
            return shown(self.mean)  # a count, the same for all
        return f"{self.mean:.4f}" if self.deviation is None else f"{self.mean:.4f} ± {self.deviation:.4f}"


@dataclass(frozen=True)
class Row:
    """One cell: runs that differ in nothing but the seed.

    Attributes:
        values: what tells it from other cells.
        runs: all that are planned.
    """

    values: dict[str, str]
    runs: tuple[Run, ...]

    @property
    def done(self) -> list[Run]:
        """The runs that have scores."""
        return [run for run in self.runs if run.weights is not None]

    @cached_property
    def cost(self) -> Cost | None:
        """Of the network, which is the same in all runs; None while none is finished."""
        weights = next((run.weights for run in self.runs if run.weights), None)
        if weights is None:
            return None
        network = load_weights(weights)
        return cost_of(network, fuse(network), network.input_size)

    def samples(self, store: str) -> tuple[int, str] | None:
        """How many samples the scores of a store are of, the fewest where runs differ, and what counts them.

        None where they do not say so.
        """
        for name in SAMPLES:
            if counts := self.spread(f"{store}/{name}").values:
                return round(min(counts)), name
        return None

    def spread(self, score: str) -> Spread:
        """Of a score, by its name with the store's. COCO's -1, nobody of that size, is none."""
        scores = (run.scores[score] for run in self.done if run.scores and score in run.scores)
        return Spread(tuple(value for value in scores if value != NOBODY))


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """Runs gathered by cell, in the order in which they come.

    Runs of one name that were trained by recipes which differ in more than the seed are cells of their own, told by
    their folders.
    """
    cells: dict[str, list[Run]] = {}
    for run in runs:
        cells.setdefault(_cell(run, runs), []).append(run)
    names = [json.dumps(of_cell[0].values) for of_cell in cells.values()]
    rows = []
    for name, (first, *others) in zip(names, cells.values(), strict=True):
        told_apart = {"folder": str(first.folder.parent)} if names.count(name) > 1 else {}
        rows.append(Row(first.values | told_apart, (first, *others)))
    return rows


def _cell(run: Run, runs: Sequence[Run]) -> str:
    """What a run has in common with those of other seeds; one that is not finished is as those beside it."""
    beside = (other for other in runs if (other.values, other.folder.parent) == (run.values, run.folder.parent))
    recipe = next((other.recipe for other in (run, *beside) if other.recipe), {})
    return json.dumps([run.values, recipe | {"seed": None}], default=str)


def score_names(rows: Sequence[Row]) -> list[str]:
    """Names of all scores, the first store's under ``val`` first."""
    names = dict.fromkeys(name for row in rows for run in row.done for name in run.scores or ())
    return sorted(names, key=lambda name: not name.startswith("val/"))


def shown_scores(rows: Sequence[Row], wanted: Sequence[str] = ()) -> list[str]:
    """The scores that a narrow table has room for.

    Args:
        rows: of the table.
        wanted: names of scores, with a store's name and a slash or without; what the task goes by where there is none
            of them.

    Returns:
        Names with stores, of every store that all rows have.
    """
    names = score_names(rows)
    done = [run for row in rows for run in row.done]
    there = {name for whole in names for name in (whole, whole.rpartition("/")[2])}
    chosen = there.intersection(wanted) or {_monitored(run) for run in done}
    firsts = {_first_store(run) for run in done}

    def has_room(store: str, name: str) -> bool:
        if store == "val":
            return True
        return store not in firsts and all(row.spread(name).values for row in rows if row.done)

    parts = [(name, *name.rpartition("/")[::2]) for name in names]
    return [name for name, store, key in parts if name in chosen or (key in chosen and has_room(store, name))]


def check_scores(wanted: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a score that there is not.

    Args:
        wanted: names of scores, with a store's name and a slash or without.
        names: of all scores, with stores: those that runs have, or will have.

    Raises:
        ValueError: there is no score of one of these names; those that there are, are named.
    """
    keys, stores = (dict.fromkeys(name.rpartition("/")[part] for name in names) for part in (2, 0))
    for name in wanted:
        if name not in keys and name not in names:
            told = f"there are {', '.join(keys)} of {', '.join(stores)}" if names else "there are none"
            raise ValueError(f"no run has a score {name!r}; {told}{did_you_mean([name], [*keys, *names])}")


def scores_to_come(recipes: Iterable[Recipe]) -> list[str] | None:
    """Names, with stores, of all scores that trainings may have; None where a task does not say its own."""
    names: dict[str, None] = {}
    for recipe in recipes:
        scores = task_named(recipe.model.task).scores
        if not scores:
            return None
        stores = [Path(store).with_suffix("") for store in recipe.data.validate]
        names |= dict.fromkeys(f"{store}/{score}" for store in ["val", *names_of(stores)] for score in scores if stores)
    return list(names)


def _monitored(run: Run) -> str:
    return task_named((run.recipe or {})["model"]["task"]).monitored[0]


def _first_store(run: Run) -> str:
    """Whose scores are there as ``val`` too."""
    stores = (run.recipe or {}).get("data", {}).get("validate", [])
    return Path(stores[0]).stem if stores else ""


def show_table(rows: Sequence[Row], scores: Sequence[str], title: str) -> Group:
    """The title, and a table for the terminal."""
    from rich.markup import escape
    from rich.table import Column, Table

    header, lines = text_table(rows, scores)
    left = len(header) - len(scores) - len(COUNTED)
    columns = (
        Column(
            escape(name).replace("/", "/\n").replace(", ", "\n"),
            justify="left" if number < left else "right",
            overflow="fold",
        )
        for number, name in enumerate(header)
    )
    table = Table(*columns)
    for line in lines:
        table.add_row(*map(escape, line))
    return below([title], table)


def text_table(rows: Sequence[Row], scores: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """A heading and a line for each row: what tells it from others, n, what its network costs, means and deviations."""
    axes = _axes(rows)
    lines = []
    for row in rows:
        n = str(len(row.done)) if len(row.done) == len(row.runs) else f"{len(row.done)} of {len(row.runs)}"
        costs = (f"{row.cost.parameters / 1e6:.2f}", f"{row.cost.with_attention / 1e9:.3f}") if row.cost else ("", "")
        values = (row.values.get(axis, "") for axis in axes)
        lines.append([*values, n, *costs, *(str(row.spread(score)) for score in scores)])
    return [*axes, *COUNTED, *scores], lines


def write_table(rows: Sequence[Row], scores: Sequence[str], title: str, folder: Path) -> None:
    """Write ``table.csv`` and ``table.json`` with all scores, and each run's in the latter; some in ``table.md``.

    Args:
        rows: of the table.
        scores: which ones, and title: above them, of the Markdown.
        folder: of the files.
    """
    axes, names = _axes(rows), score_names(rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    parts = (f"{name} {part}" for name in names for part in ("mean", "sd"))
    writer.writerow([*axes, "planned", "n", *COSTS, *parts])
    for row in rows:
        spreads = [row.spread(name) for name in names]
        numbers = [number for each in spreads for number in ((each.mean, each.deviation) if each.values else ("", ""))]
        values = (row.values.get(axis, "") for axis in axes)
        writer.writerow([*values, len(row.runs), len(row.done), *_costs(row).values(), *numbers])
    with whole_file(folder / "table.csv") as partial:
        partial.write_text(text.getvalue(), encoding="utf-8", newline="")
    with whole_file(folder / "table.md") as partial:
        lines = [title, f"MACs: {MACS}", markdown_table(*text_table(rows, scores))]
        partial.write_text("\n\n".join(lines) + "\n", encoding="utf-8", newline="")
    write_json(folder / "table.json", [_to_json(row, names) for row in rows], indent=1)


def _to_json(row: Row, names: Sequence[str]) -> dict[str, Any]:
    spreads = {name: spread for name in names if (spread := row.spread(name)).values}
    return {
        "values": row.values,
        "planned": len(row.runs),
        "n": len(row.done),
        **_costs(row),
        "scores": {
            name: {"mean": spread.mean, "sd": spread.deviation, "n": len(spread.values)}
            for name, spread in spreads.items()
        },
        "runs": [
            {
                "folder": str(run.folder),
                "seed": run.seed,
                "epoch": run.epoch,
                "seconds": run.seconds,
                "scores": run.scores,
            }
            for run in row.runs
        ],
    }


def _costs(row: Row) -> dict[str, int | None]:
    return {name: getattr(row.cost, name, None) for name in COSTS}


def _axes(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(axis for row in rows for axis in row.values))
