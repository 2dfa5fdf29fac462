"""Scores -> a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

WIDTH = 80
"""Of a narrow terminal, in characters."""
_COUNTS = re.compile(r"people|images|count(_.+)?")

Scores = dict[str, Any]
"""Names and values, as an account of scores puts them together."""


def score_table(scores: Mapping[str, Scores], title: str) -> Group:
    """The title, and a table with a row for each score and a column for each data set.

    Names that make it wider than 80 characters stand above it, and their numbers over the columns.
    """
    from rich.markup import escape
    from rich.table import Column, Table

    keys = list(dict.fromkeys(key for row in scores.values() for key in row))
    cells = {name: [_cell(key, row.get(key, "")) for key in keys] for name, row in scores.items()}
    wide = [max(map(len, (name, *column))) for name, column in cells.items()]
    fits = max(map(len, keys), default=0) + sum(wide) + 3 * len(wide) + 4 <= WIDTH
    headings = list(scores) if fits else [str(number) for number in range(1, len(scores) + 1)]
    told = [] if fits else [f"{number}: {name}" for number, name in zip(headings, scores, strict=True)]
    table = Table("", *(Column(escape(heading), justify="right", overflow="fold") for heading in headings))
    for key, *row in zip(keys, *cells.values(), strict=True):
        table.add_row(escape(key), *map(escape, row))
    return below([title, *told], table)


def below(lines: Sequence[str], table: Table) -> Group:
    """A table below lines that are as wide as the terminal: its own title would be wrapped to the table's width."""
    from rich.console import Group
    from rich.text import Text

    return Group(*(Text(line, overflow="fold") for line in lines), table)


def _cell(key: str, value: Any) -> str:
    """What is a count by its name has no digits behind the point even where it is one, or none."""
    return f"{value:.0f}" if isinstance(value, float) and _COUNTS.fullmatch(key) else shown(value)


def shown(value: Any) -> str:
    """A score with four digits behind the point; a whole number above one is a count, and has none."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() and value > 1 else f"{value:.4f}"
