"""Parameters against latency, one point for each network, one panel for each runtime and precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmsa.benchmark.row import Row
from cmsa.benchmark.shades import shades


def plot(rows: Sequence[Row], conditions: Mapping[str, Any], path: Path) -> None:
    """Write the plot of a benchmark.

    Args:
        rows: of ``benchmark``.
        conditions: under which they were measured.
        path: picture to write; its ending says the format.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    panels = list(dict.fromkeys((row.runtime, row.precision) for row in rows))
    names = list(dict.fromkeys(row.network for row in rows))
    colours = shades(names)
    figure = Figure(figsize=(max(6.0, 4.2 * len(panels)), 4.6), layout="constrained")
    # The same axes for all, so that panels can be compared.
    grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (runtime, precision) in zip(grid, panels, strict=True):
        for row in rows:
            if (row.runtime, row.precision) == (runtime, precision):
                name = row.network
                axes.scatter(
                    row.latency,
                    row.parameters / 1e6,
                    color=colours[name],
                    marker="o" if name.startswith("cmsa") else "s",
                    s=60,
                    label=name,
                )
        axes.set(xscale="log", yscale="log", xlabel="latency of one image [ms]", title=f"{runtime}, {precision}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
        axes.grid(True, alpha=0.3)
    grid[0].set_ylabel("parameters [M]")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), fontsize=8)
    figure.suptitle(f"{conditions['machine']}, {conditions['threads']} threads", fontsize=9)
    figure.savefig(path, dpi=120)
