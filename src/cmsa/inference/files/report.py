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
from cmsa.inference.files.summary import KEPT, Some, Summary
from cmsa.structures import Box
from cmsa.tasks import Task

_EMPTY_SHOWN = 5
"""So many pictures without a box are named: most of a camera's frames may be."""


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
    rows = summary.shown
    if not rows:
        return
    lines: list[tuple[str, ...]] = [("box", *task.headings(), "picture")]
    lines += [(_box_text(value.box), *task.cells(value, top), name) for name, _, value in rows]
    if any(identity is not None for _, identity, _ in rows):
        ids = ("id", *("" if identity is None else str(identity) for _, identity, _ in rows))
        lines = [(identity, *line) for identity, line in zip(ids, lines, strict=True)]
    _print(console, lines, heading=True)
    if summary.values > len(rows):
        _print(console, [(f"the first {len(rows)} of {summary.values:,}",)])


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
        rows += [("without a box", f"{summary.empty.count:,}"), *_list(summary.empty, _EMPTY_SHOWN)]
    if summary.told.count:
        rows += [("notes", f"{summary.told.count:,}"), *_list(summary.told)]
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


def _list(some: Some, most: int = KEPT) -> list[tuple[str, str]]:
    rows = [("", ": ".join(filter(None, entry))) for entry in some.first[:most]]
    return [*rows, ("", f"and {some.count - len(rows):,} more")] if some.count > len(rows) else rows


def _box_text(box: Box) -> str:
    return " ".join(f"{round(number, 1):g}" for number in box.xywh)
