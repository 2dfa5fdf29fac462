"""What the command shows: a progress bar, the first predictions, and what was done and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from cmsa.inference.files.summary import Some, Summary
from cmsa.structures import Box
from cmsa.tasks import Task

_SHOWN = 20
"""Rows of predictions, and of what was left out."""


@contextmanager
def progress(console: Console, count: int | None, quiet: bool = False) -> Iterator[Callable[[int, str], None]]:
    """A progress bar over ``count`` pictures, if that is known, and what to call with how many are done and a name."""
    if quiet or not console.is_terminal:
        yield lambda done, name: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=count)
        yield lambda done, name: bar.update(task, completed=done, description=escape(name))


def value_table(task: Task, summary: Summary, top: int) -> Table:
    """The first predictions, one row each."""
    # A name is there to be found again: it is folded, and not cut.
    table = Table(*(Column(name, overflow="fold") for name in ("picture", "box", *task.headings())))
    rows = [(name, value) for name, values in summary.shown for value in values]
    for name, value in rows[:_SHOWN]:
        table.add_row(escape(name), _box_text(value.box), *(escape(cell) for cell in task.cells(value, top)))
    if summary.values > _SHOWN:
        table.caption = f"the first {min(_SHOWN, len(rows))} of {summary.values:,}"
    return table


def summary_table(summary: Summary, count: int | None, task: Task) -> Table:
    """How much was done, what was left out and why, and where the results are.

    Args:
        summary: what became of the inputs.
        count: how many pictures there are; None where that cannot be known.
        task: that the predictions are of.
    """
    # Where results are must not be cut.
    table = Table.grid(Column(), Column(overflow="fold"), padding=(0, 2))
    of = "" if count is None else f" of {count:,}"
    before = f", {summary.before:,} before" if summary.before else ""
    table.add_row("pictures", f"{summary.done:,}{of} done{before}, {summary.values:,} predictions")
    if summary.whole:
        what = "person" if task.category is not None else "box"
        table.add_row("whole picture", f"{summary.whole:,} taken as one {what}: no boxes were given and no detector")
    if summary.empty.count:
        table.add_row("without a box", _some(summary.empty))
    if summary.told.count:
        table.add_row("told", f"{summary.told.count:,}")
        _list(table, summary.told)
    if summary.skipped.count:
        table.add_row("[yellow]left out[/]", f"{summary.skipped.count:,}")
        _list(table, summary.skipped)
    if summary.files:
        table.add_row("results", escape("\n".join(map(str, summary.files))))
    if summary.drawn is not None:
        table.add_row("annotated", escape(str(summary.drawn)))
    return table


def _list(table: Table, some: Some) -> None:
    for name, text in some.first:
        table.add_row("", escape(f"{name}: {text}"))
    if some.count > len(some.first):
        table.add_row("", f"and {some.count - len(some.first):,} more")


def _box_text(box: Box) -> str:
    return " ".join(f"{number:.4g}" for number in box.xywh)


def _some(some: Some) -> str:
    names = [name for name, _ in some.first[:5]]
    return escape("; ".join(names)) + (f" and {some.count - 5:,} more" if some.count > 5 else "")
