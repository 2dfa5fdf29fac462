"""Plots of a report, as SVG."""

from __future__ import annotations

import csv
import io
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
"""Of panels."""


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
    """Scores against costs, one panel for each kind of cost."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    figure = _figure(max(5.5, 4.6 * len(panels)), 4.2)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, points) in zip(grid, panels.items(), strict=True):
        costs = [point.cost for point in points]
        middle = (min(costs) * max(costs)) ** 0.5
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
            else:
                axes.plot(point.cost, point.score, "s", color="0.6", markersize=5, markerfacecolor="none")
                right = point.cost > middle  # where the frame is near
                axes.annotate(
                    point.name,
                    (point.cost, point.score),
                    (-4 if right else 4, 2),
                    textcoords="offset points",
                    ha="right" if right else "left",
                    fontsize=6,
                    color="0.45",
                )
        axes.set(xscale="log", xlabel=title)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        # Room for two ticks at least, and for names.
        axes.set_xlim(min(costs) / 2, max(costs) * 2.5)
        axes.grid(alpha=0.3)
    grid[0].set_ylabel(score)
    return _svg(figure, grid)


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


def apart(values: Sequence[float], gap: float) -> list[float]:
    """Values moved up, as little as it takes, until those beside each other are ``gap`` apart; so names can be read."""
    moved = list(values)
    below = float("-inf")
    for number in sorted(range(len(moved)), key=moved.__getitem__):
        below = moved[number] = max(moved[number], below + gap)
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
