"""Scores -> a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Scores = dict[str, Any]
"""Names and values, as an account of scores puts them together."""


def score_table(scores: Mapping[str, Scores], title: str) -> Table:
    """A table with a row for each score and a column for each data set, narrow enough for 80 characters."""
    from rich.markup import escape
    from rich.table import Column, Table

    columns = (Column(escape(name), justify="right", overflow="fold") for name in scores)
    table = Table("", *columns, title=escape(title), title_justify="left")
    for key in dict.fromkeys(key for row in scores.values() for key in row):
        table.add_row(escape(key), *(escape(_shown(row.get(key, ""))) for row in scores.values()))
    return table


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() and value > 1 else f"{value:.4f}"
