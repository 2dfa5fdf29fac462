"""What the command shows: a progress bar, the first predictions, and what was done and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cmsa.files.visible import visible
from cmsa.guidance.counts import count_of
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
        yield lambda done, name: bar.update(task, completed=done, description=escape(visible(name)))


def print_values(console: Console, task: Task, summary: Summary, top: int) -> None:
    """The first predictions, one line each, the picture's name last."""
    rows = [(name, value) for name, values in summary.shown for value in values]
    if not rows:
        return
    lines = [(_box_text(value.box), *task.cells(value, top), name) for name, value in rows[:_SHOWN]]
    _print(console, [("box", *task.headings(), "picture"), *lines], heading=True)
    if summary.values > _SHOWN:
        _print(console, [(f"the first {min(_SHOWN, len(rows))} of {summary.values:,}",)])


def print_summary(console: Console, summary: Summary, count: int | None, task: Task) -> None:
    """How much was done, what was left out and why, and where the results are.

    Args:
        console: where to.
        summary: what became of the inputs.
        count: how many pictures there are; None where that cannot be known.
        task: that the predictions are of.
    """
    of = "" if count is None else f" of {count:,}"
    before = f", {summary.before:,} before" if summary.before else ""
    rows = [("pictures", f"{summary.done:,}{of} done{before}, {count_of(summary.values, 'prediction')}")]
    if summary.whole:
        what = "person" if task.category is not None else "box"
        rows.append(("whole picture", f"{summary.whole:,} taken as one {what}: no boxes were given and no detector"))
    if summary.empty.count:
        rows.append(("without a box", _some(summary.empty)))
    if summary.told.count:
        rows += [("told", f"{summary.told.count:,}"), *_list(summary.told)]
    if summary.skipped.count:
        rows += [("left out", f"{summary.skipped.count:,}"), *_list(summary.skipped)]
    rows += [("" if place else "results", str(path)) for place, path in enumerate(summary.files)]
    if summary.drawn is not None:
        rows.append(("annotated", str(summary.drawn)))
    _print(console, rows)


def _print(console: Console, rows: Sequence[Sequence[str]], heading: bool = False) -> None:
    """Columns side by side. A line may be longer than the console: names stand at its end and are neither cut nor
    folded, for they are there to be found again."""
    rows = [tuple(map(visible, row)) for row in rows]
    columns = list(zip(*rows, strict=True))
    widths = [max(map(cell_len, column)) for column in columns[:-1]]
    for place, row in enumerate(rows):
        cells = [set_cell_size(cell, width) for cell, width in zip(row[:-1], widths, strict=True)]
        style = "bold" if heading and not place else ""
        console.print("  ".join([*cells, row[-1]]), style=style, markup=False, highlight=False, soft_wrap=True)


def _list(some: Some) -> list[tuple[str, str]]:
    rows = [("", f"{name}: {text}") for name, text in some.first]
    return [*rows, ("", f"and {some.count - len(rows):,} more")] if some.count > len(rows) else rows


def _box_text(box: Box) -> str:
    return " ".join(f"{number:.4g}" for number in box.xywh)


def _some(some: Some) -> str:
    names = [name for name, _ in some.first[:5]]
    return "; ".join(names) + (f" and {some.count - 5:,} more" if some.count > 5 else "")
