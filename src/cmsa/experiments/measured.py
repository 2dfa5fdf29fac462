"""A cell of a report: its name, what it was scored on, what its network costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmsa.data.store import names_of
from cmsa.experiments.published_rows import Published, percent_of
from cmsa.experiments.table import SAMPLES, Row, Spread
from cmsa.guidance.counts import count_of
from cmsa.models.cost import Cost

NOTHING = "-"


@dataclass(frozen=True)
class Scored:
    """A store, and how many samples its scores are of, see ``Row.samples``."""

    store: str
    samples: tuple[int, str] | None

    def __str__(self) -> str:
        if self.samples is None:
            return self.store
        count, name = self.samples
        return f"{self.store} ({count_of(count, *SAMPLES[name])})"

    def is_data_of(self, row: Published) -> bool:
        """Whether what is published was scored on the same."""
        return row.is_of(self.store, self.samples[0] if self.samples else None)


@dataclass(frozen=True)
class Measured:
    """A cell, and what its network costs."""

    name: str
    row: Row
    cost: Cost

    @property
    def parameters(self) -> float:
        """In millions."""
        return self.cost.parameters / 1e6

    @property
    def macs(self) -> float:
        """In units of 1e9."""
        return self.cost.with_attention / 1e9

    @property
    def recipe(self) -> dict[str, Any]:
        """Of its first run; all others' is the same but for the seed."""
        return self.row.done[0].recipe or {}

    @property
    def weights(self) -> Path:
        """Of its first run."""
        weights = self.row.done[0].weights
        assert weights is not None
        return weights

    @property
    def task(self) -> str:
        """Its name."""
        return str(self.recipe["model"]["task"])

    @property
    def network(self) -> str:
        """The name of its backbone."""
        return str(self.recipe["model"]["name"])

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the input."""
        height, width = self.recipe["model"]["input_size"]
        return int(height), int(width)

    @property
    def sees(self) -> str:
        """The input, and what it is enlarged to inside of the network, which is what it costs."""
        working = self.recipe["model"].get("working_size")
        return size_text(self.size) + (f", sees {size_text((working[0], working[1]))}" if working else "")

    @property
    def stores(self) -> list[str]:
        """What validation stores are called in the scores' names."""
        return names_of([Path(store).with_suffix("") for store in self.recipe["data"]["validate"]])

    @property
    def scored(self) -> list[Scored]:
        """What it was scored on: the validation stores."""
        return [Scored(store, self.row.samples(store)) for store in self.stores]

    def printed(self, score: str, store: str = "val") -> Spread:
        """As papers print it; of the first store by default."""
        values = self.row.spread(f"{store}/{score}").values
        return Spread(tuple(percent_of(self.task) * value for value in values))


def name_of(row: Row) -> str:
    """What tells a cell from others, or the folder of a sweep that has one cell only."""
    name = ", ".join(f"{axis} {value}" if axis != "run" else value for axis, value in row.values.items())
    return name or row.runs[0].folder.parent.name


def size_text(size: tuple[int, int] | None) -> str:
    """(H, W) as it is written."""
    return f"{size[0]}x{size[1]}" if size else NOTHING
