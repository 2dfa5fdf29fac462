"""What the command shows: a progress bar, the first predictions, and what was done and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cmsa.inference.files.run import Summary
from cmsa.structures import Box
from cmsa.tasks import Task

_SHOWN = 20
"""Rows of predictions, and of what was left out."""


@contextmanager
def progress(console: Console, count: int) -> Iterator[Callable[[int, str], None]]:
    """A progress bar over ``count`` pictures, and what to call before each: how many are done, its name."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=count)
        yield lambda done, name: bar.update(task, completed=done, description=escape(name))


def value_table(task: Task, summary: Summary, top: int) -> Table:
    """The first predictions, one row each."""
    table = Table("picture", "box", *task.headings())
    rows = [(name, value) for name, values in summary.shown for value in values]
    for name, value in rows[:_SHOWN]:
        table.add_row(escape(name), _box_text(value.box), *(escape(cell) for cell in task.cells(value, top)))
    if summary.values > _SHOWN:
        table.caption = f"the first {min(_SHOWN, len(rows))} of {summary.values:,}"
    return table


def summary_table(summary: Summary, count: int, folder: Path) -> Table:
    """How much was done, what was left out and why, and where the results are."""
    table = Table.grid(padding=(0, 2))
    table.add_row("pictures", f"{summary.done:,} of {count:,} done, {summary.values:,} predictions")
    if summary.without_box:
        table.add_row("without a box", _some(summary.without_box))
    if summary.skipped:
        table.add_row("[yellow]left out[/]", f"{len(summary.skipped):,}")
    for name, reason in summary.skipped[:_SHOWN]:
        table.add_row("", escape(f"{name}: {reason}"))
    if len(summary.skipped) > _SHOWN:
        table.add_row("", f"and {len(summary.skipped) - _SHOWN:,} more")
    if summary.files:
        table.add_row("results", escape(", ".join(map(str, summary.files))))
        table.add_row("annotated", escape(str(folder / "annotated")))
    return table


def _box_text(box: Box) -> str:
    return " ".join(f"{number:g}" for number in box.xywh)


def _some(names: list[str]) -> str:
    return escape(", ".join(names[:5])) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
