"""Runs -> a page: measured beside published, costs, curves, spreads, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmsa.experiments.benchmarked import Benchmark, read_benchmark
from cmsa.experiments.evaluated import gallery_section, robustness_section
from cmsa.experiments.figures import Curve, Point, plot_costs, plot_curves, plot_sizes, read_curve
from cmsa.experiments.looks import Look, looks_of
from cmsa.experiments.measured import NOTHING, Measured, Scored, name_of, size_text
from cmsa.experiments.page import Figure, Section, Table, write_page
from cmsa.experiments.published_rows import PERCENT, Published, percent_of, published_rows, shipped_recipes, with_unit
from cmsa.experiments.runs import Kept, read_runs
from cmsa.experiments.table import (
    MACS,
    Row,
    Spread,
    check_scores,
    rows_of,
    score_names,
    shown_scores,
    text_table,
)
from cmsa.guidance.counts import count_of
from cmsa.tasks import task_named

Looks = Mapping[str, Look]
"""Of cells and networks, by their names."""
NAMED = 3
"""Folders in the title."""


def write_report(
    folders: Sequence[Path],
    out: Path,
    *,
    benchmark: Path | None = None,
    kept: Kept = "last",
    scores: Sequence[str] = (),
) -> None:
    """Write the report of runs and sweeps: HTML, and Markdown beside it.

    Args:
        folders: of runs of ``cmsa train``, or of sweeps.
        out: the HTML file.
        benchmark: ``benchmark.json`` of ``cmsa benchmark``, for times.
        kept: whose scores, see ``read_runs``.
        scores: of the first table of each task that has any of them, see ``shown_scores``.

    Raises:
        ValueError: a folder or a file is not what it should be, no run is finished, or none has such a score.
    """
    rows = rows_of(read_runs(folders, kept))
    measured = [Measured(name_of(row), row, row.cost) for row in rows if row.cost]
    if not measured:
        raise ValueError(f"{', '.join(map(str, folders))}: no run is finished yet")
    check_scores(scores, score_names(rows))
    times = read_benchmark(benchmark) if benchmark else Benchmark(None, {})
    sections = []
    for task in dict.fromkeys(cell.task for cell in measured):
        of_task = [cell for cell in measured if cell.task == task]
        runs = {cell.name: cell.row.done for cell in of_task}
        looks = looks_of([*runs, *(cell.network for cell in of_task)])
        sections += [_table(task, of_task, scores), _beside_published(task, of_task)]
        sections += [_costs(task, of_task, times, looks), *_sizes(task, of_task, looks), _curves(task, of_task, looks)]
        sections += [robustness_section(task, runs, looks), gallery_section(task, runs)]
    sections += [_spreads(rows), _missing(rows, measured)]
    write_page(f"Report: {_names([folder.name for folder in folders])}", sections, out)


def _names(folders: Sequence[str]) -> str:
    """The first few, and how many more: a title is read at a glance."""
    more = len(folders) - NAMED
    return ", ".join(folders[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _table(task: str, cells: Sequence[Measured], wanted: Sequence[str]) -> Section:
    rows = [cell.row for cell in cells]
    text = f"As it was measured, mean ± standard deviation over n runs; val is the first validation store. MACs: {MACS}"
    return Section(f"{task}: what was trained", text, tables=[Table(*text_table(rows, shown_scores(rows, wanted)))])


def _beside_published(task: str, cells: Sequence[Measured]) -> Section:
    published = published_rows(task)
    known = dict.fromkeys(score for row in published for score in row.scores)
    scores = list(known) or [task_named(task).monitored[0]]
    costs = ["input (HxW)", "params, M", "MACs, G"]
    digits = 1 if task in PERCENT else 2
    tables = []
    for scored in dict.fromkeys(scored for cell in cells for scored in cell.scored):
        lines = [_measured_line(cell, scored.store, scores) for cell in cells if scored in cell.scored]
        same = [_published_line(row, scores, digits) for row in published if scored.is_data_of(row)]
        header = ["network", "from", *costs, *scores]
        tables.append(Table(header, lines + same, frozenset(range(len(lines))), caption=str(scored)))
    text = (
        "A table for each validation store; scores of different data, boxes or protocols do not compare. "
        "Measured values are mean ± standard deviation over the seeds" + (", in percent." if task in PERCENT else ".")
    )
    of_any = _of_same_data(published, [scored for cell in cells for scored in cell.scored])
    if others := [row for row in published if row not in of_any]:
        told = [
            [line[0], line[1], row.data, *line[2:]] for row in others for line in [_published_line(row, scores, digits)]
        ]
        summary = f"Published of other data: {count_of(len(others), 'row')}"
        tables.append(Table(["network", "from", "data", *costs, *scores], told, summary=summary))
    return Section(f"{task}: measured beside published", text, tables=tables)


def _measured_line(cell: Measured, store: str, scores: Sequence[str]) -> list[str]:
    return [
        cell.name,
        f"measured, n = {len(cell.row.done)}",
        cell.sees,
        f"{cell.parameters:.2f}",
        f"{cell.macs:.3f}",
        *(_spread(cell.printed(score, store)) for score in scores),
    ]


def _published_line(row: Published, scores: Sequence[str], digits: int) -> list[str]:
    return [
        row.model,
        f"published: {row.source}",
        size_text(row.input_size),
        _number(row.parameters, 1),
        _number(row.macs, 1),
        *(_number(row.scores.get(score), digits) for score in scores),
    ]


def _costs(task: str, cells: Sequence[Measured], benchmark: Benchmark, looks: Looks) -> Section:
    score = task_named(task).monitored[0]
    batches = "batches" if benchmark.batch is None else f"batches of {benchmark.batch}"
    titles = "parameters, M", "MACs of one image, G", "latency of one image, ms", f"time of one image in {batches}, ms"
    measured: dict[str, list[Point]] = {title: [] for title in titles}
    for cell in cells:
        spread = cell.printed(score)
        times = benchmark.of(cell.weights) if benchmark.times else None
        costs = cell.parameters, cell.macs, *((times.alone, times.in_batch) if times else (None, None))
        for points, cost in zip(measured.values(), costs, strict=True):
            if cost and spread.values:
                points.append(Point(cell.name, cost, spread.mean, spread.deviation or 0.0, True))
    for row in _comparable(published_rows(task), cells):
        for points, cost in zip(measured.values(), (row.parameters, row.macs), strict=False):
            if cost and score in row.scores:
                points.append(Point(f"{row.model} {size_text(row.input_size)}", cost, row.scores[score], 0.0, False))
    panels = {title: points for title, points in measured.items() if any(point.measured for point in points)}
    if not panels:
        return Section(f"{task}: {score} against costs", f"No run has {score}.")
    text = "What has a colour was measured here, on the first validation store (bars: standard deviation)"
    if any(not point.measured for points in panels.values() for point in points):
        text += "; grey squares are published, of the same data and input size"
    plot = plot_costs(panels, with_unit(score, task), looks)
    figure = Figure(f"{task}-costs", f"{score} against {', '.join(panels)}", plot)
    return Section(f"{task}: {score} against costs", f"{text}.", [figure])


def _sizes(task: str, cells: Sequence[Measured], looks: Looks) -> list[Section]:
    """The score over the input's size, where more than one was measured."""
    score = task_named(task).monitored[0]
    if len({cell.size for cell in cells}) < 2:
        return []
    spreads = [(cell.network, cell.size, cell.printed(score)) for cell in cells]
    measured = _lines([(name, size, spread.mean) for name, size, spread in spreads if spread.values])
    rows = _of_same_data(published_rows(task), _firsts(cells))
    published = _lines(
        [(row.model, row.input_size, row.scores[score]) for row in rows if row.input_size and score in row.scores]
    )
    published = {name: line for name, line in published.items() if len(line[0]) > 1}
    plot = plot_sizes(measured, published, with_unit(score, task), looks)
    figure = Figure(f"{task}-sizes", f"{score} over the input's size", plot)
    text = "A line for each network, the mean of its runs and settings; grey, dashed: published, of the same data."
    return [Section(f"{task}: {score} by resolution", text, [figure])]


def _lines(places: Sequence[tuple[str, tuple[int, int], float]]) -> dict[str, Curve]:
    """By network the heights, and the mean score at each."""
    lines: dict[str, dict[float, list[float]]] = {}
    for name, (height, _), value in places:
        lines.setdefault(name, {}).setdefault(height, []).append(value)
    return {name: (sorted(line), [sum(line[h]) / len(line[h]) for h in sorted(line)]) for name, line in lines.items()}


def _comparable(published: Sequence[Published], cells: Sequence[Measured]) -> list[Published]:
    """Rows of the data and the input sizes that were measured."""
    sizes = {cell.size for cell in cells} | {None}
    return [row for row in _of_same_data(published, _firsts(cells)) if row.input_size in sizes]


def _firsts(cells: Sequence[Measured]) -> list[Scored]:
    """The first validation stores."""
    return [scored for cell in cells for scored in cell.scored[:1]]


def _of_same_data(published: Sequence[Published], stores: Sequence[Scored]) -> list[Published]:
    return [row for row in published if any(scored.is_data_of(row) for scored in stores)]


def _curves(task: str, cells: Sequence[Measured], looks: Looks) -> Section:
    score = task_named(task).monitored[0]
    column, factor = f"val/{score}", percent_of(task)
    curves = {cell.name: [read_curve(run.folder, column, factor) for run in cell.row.done] for cell in cells}
    curves = {name: [curve for curve in lines if curve[0]] for name, lines in curves.items()}
    if not any(curves.values()):
        return Section(f"{task}: learning curves", "No run has logged its scores.")
    figure = Figure(f"{task}-curves", f"{score} over steps", plot_curves(curves, with_unit(score, task), looks))
    return Section(
        f"{task}: learning curves", f"{score} of the first validation store, one line for each run.", [figure]
    )


def _spreads(rows: Sequence[Row]) -> Section:
    text = "Every score as it was measured: mean ± standard deviation over n finished runs; val is the first store."
    return Section("All scores", text, tables=[Table(*text_table(rows, score_names(rows)))])


def _missing(rows: Sequence[Row], measured: Sequence[Measured]) -> Section:
    unfinished = [str(run.folder) for row in rows for run in row.runs if run.weights is None]
    text = f"Not finished: {', '.join(unfinished)}. " if unfinished else ""
    done = {(cell.recipe.get("title"), bool(cell.recipe.get("published"))) for cell in measured}
    lines = [
        [
            f"cmsa train {name}",
            str(recipe["title"]),
            "; ".join(_told(recipe)) or NOTHING,
            str(recipe.get("cost") or NOTHING),
        ]
        for name, recipe in shipped_recipes()
        if (recipe["title"], bool(recipe.get("published"))) not in done
        and recipe["model"]["task"] in {cell.task for cell in measured}
    ]
    text += "Recipes of these tasks that no run in this report is of, and what they would cost."
    return Section("What is missing", text, tables=[Table(["command", "recipe", "published", "cost"], lines)])


def _told(recipe: Mapping[str, Any]) -> list[str]:
    published = recipe.get("published") or {}
    plain = {name: value for name, value in published.items() if not isinstance(value, Mapping)}
    nested = [
        f"{name} {key} {value}"
        for name, part in published.items()
        if isinstance(part, Mapping)
        for key, value in part.items()
    ]
    return [f"{name} {value}" for name, value in plain.items()] + nested


def _spread(spread: Spread) -> str:
    if not spread.values:
        return NOTHING
    return f"{spread.mean:.2f}" + ("" if spread.deviation is None else f" ± {spread.deviation:.2f}")


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"
