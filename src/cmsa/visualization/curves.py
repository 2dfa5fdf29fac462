"""Curves over steps that have names, several panels on one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        title: above it.
        x: what the steps are.
        steps: their names, left to right.
        curves: a value for each step, by the name of the curve.
    """

    title: str
    x: str
    steps: Sequence[str]
    curves: Mapping[str, Sequence[float]]


def save_curves(path: Path, panels: Sequence[Panel], y: str, title: str = "") -> None:
    """Write the panels as one picture, four in a row, on one scale.

    Args:
        path: picture to write; its ending says the format; the folder is made.
        panels: at least one; curves of one name have one colour.
        y: what the values are.
        title: above all.
    """
    from matplotlib.figure import Figure

    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 3 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        for number, (name, values) in enumerate(panel.curves.items()):
            axes.plot(range(len(panel.steps)), values, marker="o", markersize=4, color=f"C{number}", label=name)
        axes.set_xticks(range(len(panel.steps)), panel.steps)
        axes.set_title(panel.title, fontsize=11)
        axes.set_xlabel(panel.x, fontsize=8)
        axes.grid(True, alpha=0.3)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(y)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), fontsize=9)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
