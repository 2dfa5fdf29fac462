"""Plots of a report, as SVG."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmsa.experiments.looks import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[list[float], list[float]]
Steps = tuple[list[str], list[float]]
"""Named steps, evenly apart, and a value at each."""
COLUMNS = 3
"""Of panels of robustness."""
PANEL_WIDTH = 5.2
NAME_HEIGHT, LETTER_WIDTH = 0.12, 0.057
"""Of names in a panel of costs, as its width in inches."""


@dataclass(frozen=True)
class Point:
    """A network in a plot of scores against costs.

    Attributes:
        name: in the legend, or beside the point.
        cost, score: its place.
        deviation: of the score; 0 where there is none.
        measured: here, not printed in a paper.
    """

    name: str
    cost: float
    score: float
    deviation: float
    measured: bool


def plot_costs(panels: Mapping[str, Sequence[Point]], score: str, looks: Mapping[str, Look]) -> str:
    """Scores against costs, one panel for each kind of cost; names of published networks stand right of all points."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    columns = min(2, len(panels))  # so that letters can be read where a page is as wide as a window
    rows = -(-len(panels) // columns)
    most = max(sum(not point.measured for point in points) for points in panels.values())
    height = max(3.4, most * NAME_HEIGHT)
    figure = _figure(PANEL_WIDTH * columns, (height + 0.6) * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    every = [point for points in panels.values() for point in points]
    low, high = (
        min(point.score - point.deviation for point in every),
        max(point.score + point.deviation for point in every),
    )
    margin = (high - low or 1.0) / 15
    for axes, (title, points) in zip(grid, panels.items(), strict=False):
        for point in points:
            if point.measured:
                look = looks[point.name]
                axes.errorbar(
                    point.cost,
                    point.score,
                    point.deviation,
                    fmt=look.marker,
                    capsize=3,
                    color=look.colour,
                    label=point.name,
                )
        costs = [point.cost for point in points]
        # Room for two ticks at least.
        left, right = min(costs) / 2, max(costs) * 2.5
        if published := [point for point in points if not point.measured]:
            edge = max(costs) * 1.5
            share = max(len(point.name) for point in published) * LETTER_WIDTH / (PANEL_WIDTH - 0.5)
            right = left * (edge / left) ** (1 / (1 - min(share, 0.6)))
            gap = (high - low + 2 * margin) * NAME_HEIGHT / height
            places = apart([point.score for point in published], gap, low, high)
            for point, place in zip(published, places, strict=True):
                axes.plot(point.cost, point.score, "s", color="0.6", markersize=5, markerfacecolor="none")
                axes.annotate(
                    point.name,
                    (point.cost, point.score),
                    (edge, place),
                    va="center",
                    fontsize=7,
                    color="0.35",
                    arrowprops={"arrowstyle": "-", "color": "0.85", "linewidth": 0.5, "relpos": (0, 0.5), "zorder": 0},
                )
        axes.set(xscale="log", xlabel=title, xlim=(left, right), ylim=(low - margin, high + margin))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[::columns]:
        axes.set_ylabel(score)
    return _svg(figure, list(grid))


def plot_curves(cells: Mapping[str, Sequence[Curve]], score: str, looks: Mapping[str, Look]) -> str:
    """Scores over steps: a look for each cell, a line for each run."""
    figure = _figure(8.0, 4.2)
    axes = figure.subplots()
    for name, curves in cells.items():
        for place, (steps, scores) in enumerate(curves):
            label = name if place == 0 else None
            axes.plot(
                steps,
                scores,
                label=label,
                markevery=max(1, len(steps) // 20),
                **_line(looks[name]),
            )
    axes.set(xlabel="steps", ylabel=score)
    axes.grid(alpha=0.3)
    return _svg(figure, [axes])


def plot_sizes(
    measured: Mapping[str, Curve], published: Mapping[str, Curve], score: str, looks: Mapping[str, Look]
) -> str:
    """Scores over the height of the images: a line for each network, grey where it is published."""
    from matplotlib.ticker import NullFormatter, NullLocator

    figure = _figure(6.5, 4.2)
    axes = figure.subplots()
    every = [score for _, scores in [*measured.values(), *published.values()] for score in scores]
    places = apart([scores[-1] for _, scores in published.values()], (max(every) - min(every)) / 30)
    for (name, (heights, scores)), place in zip(published.items(), places, strict=True):
        axes.plot(heights, scores, "s--", color="0.6", markersize=4, markerfacecolor="none", linewidth=0.8)
        axes.annotate(
            name, (heights[-1], place), (4, 0), textcoords="offset points", va="center", fontsize=6, color="0.45"
        )
    for name, (heights, scores) in measured.items():
        axes.plot(heights, scores, label=name, **_line(looks[name]))
    ticks = sorted({height for heights, _ in [*measured.values(), *published.values()] for height in heights})
    axes.set(xscale="log", xlabel="height of the images, pixels", ylabel=score, xticks=ticks)
    axes.set_xticklabels([f"{height:g}" for height in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(ticks[0] / 1.15, ticks[-1] * (1.6 if published else 1.15))
    axes.grid(alpha=0.3)
    return _svg(figure, [axes])


def apart(values: Sequence[float], gap: float, low: float = -math.inf, high: float = math.inf) -> list[float]:
    """Values moved up until those beside each other are ``gap`` apart, so that names can be read; not above ``high``.

    Args:
        values: to be moved.
        gap: between neighbours.
        low, high: what they stay within, if there is room for them.
    """
    up = _upwards(values, gap, low)
    return [-value for value in _upwards([-value for value in up], gap, -high)]


def _upwards(values: Sequence[float], gap: float, least: float) -> list[float]:
    """Values moved up, as little as it takes, until none is below ``least`` or within ``gap`` of another."""
    moved = list(values)
    for number in sorted(range(len(moved)), key=moved.__getitem__):
        moved[number] = max(moved[number], least)
        least = moved[number] + gap
    return moved


def plot_robustness(panels: Mapping[str, Mapping[str, Steps]], score: str, looks: Mapping[str, Look]) -> str:
    """Scores over strengths: a panel for each disturbance, a line in it for each cell."""
    rows = -(-len(panels) // COLUMNS)
    figure = _figure(10.5, 2.6 * rows + 0.4)
    grid = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False).flatten()
    for axes, (title, lines) in zip(grid, panels.items(), strict=False):
        for name, (steps, values) in lines.items():
            axes.plot(steps, values, label=name, **_line(looks[name]))
        axes.set_title(title, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[::COLUMNS]:
        axes.set_ylabel(score)
    return _svg(figure, list(grid))


def read_curve(run: Path, column: str, factor: float = 1.0) -> Curve:
    """Steps and values, times a factor, of a column of a run's ``logs/metrics.csv``; empty where there is none.

    Raises:
        ValueError: the file is damaged.
    """
    file = run / "logs" / "metrics.csv"
    if not file.is_file():
        return [], []
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [row for row in csv.DictReader(lines) if row.get(column) and row.get("step")]
        return [float(row["step"]) for row in rows], [factor * float(row[column]) for row in rows]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{file}: is damaged ({error})") from error


def _line(look: Look) -> dict[str, Any]:
    """Of a line through points."""
    return {"color": look.colour, "marker": look.marker, "linestyle": look.line, "markersize": 4}


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Figure, grid: Sequence[object]) -> str:
    from matplotlib import rc_context

    entries: dict[str, Any] = {}
    for axes in grid:
        handles, labels = axes.get_legend_handles_labels()  # type: ignore[attr-defined]
        entries |= dict(zip(labels, handles, strict=True))
    if entries:
        columns = max(1, min(4, int(110 // max(map(len, entries)))))
        figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns, fontsize=8)
    text = io.StringIO()
    # Names of shapes depend on nothing but the picture; letters stay letters.
    with rc_context({"svg.hashsalt": "cmsa", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
