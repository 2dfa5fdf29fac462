"""Parameters against latency, one point for each network, one panel for each runtime and precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmsa.benchmark.row import Row


def plot(rows: Sequence[Row], conditions: Mapping[str, Any], path: Path) -> None:
    """Write the plot of a benchmark.

    Args:
        rows: of ``benchmark``.
        conditions: under which they were measured.
        path: picture to write; its ending says the format.
    """
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((row.runtime, row.precision) for row in rows))
    figure = Figure(figsize=(4.5 * len(panels), 4), layout="constrained")
    for place, (runtime, precision) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        for row in rows:
            if (row.runtime, row.precision) == (runtime, precision):
                ours = row.name.startswith("cmsa")
                axes.scatter(row.latency, row.parameters / 1e6, color="tab:red" if ours else "tab:blue")
                axes.annotate(
                    f"{row.name} {row.height}x{row.width}",
                    (row.latency, row.parameters / 1e6),
                    xytext=(4, 4),
                    textcoords="offset points",
                    fontsize=7,
                )
        axes.set(xscale="log", yscale="log", xlabel="latency of one image [ms]", ylabel="parameters [M]")
        axes.set_title(f"{runtime}, {precision}")
        axes.grid(True, which="both", alpha=0.3)
    figure.suptitle(f"{conditions['machine']}, {conditions['threads']} threads", fontsize=9)
    figure.savefig(path, dpi=120)
