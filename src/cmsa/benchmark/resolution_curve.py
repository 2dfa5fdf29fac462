"""Accuracy against how many pixels are left of each person, one line for each network (as Figure 1, right)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmsa.benchmark.accuracy_row import AccuracyRow
from cmsa.benchmark.shades import shades


def plot_resolutions(rows: Sequence[AccuracyRow], conditions: Mapping[str, Any], path: Path) -> None:
    """Write AP with its interval, and PCK, of every network at every resolution.

    Args:
        rows: of ``benchmark_accuracy``.
        conditions: under which they were measured.
        path: picture to write; its ending says the format.
    """
    from matplotlib.figure import Figure

    networks = list(dict.fromkeys((row.name, row.input_size) for row in rows))
    colours = shades([name for name, _ in networks])
    resolutions = sorted({row.resolution for row in rows})
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    precision, correct = figure.subplots(1, 2)
    for name, (height, width) in networks:
        of_network = (row for row in rows if (row.name, row.input_size) == (name, (height, width)))
        points = sorted(of_network, key=lambda row: row.resolution)
        heights = [row.resolution[0] for row in points]
        colour, marker = colours[name], "o-" if name.startswith("cmsa") else "s-"
        label = f"{name} (sees {height}x{width})"
        precision.plot(heights, [100 * row.AP for row in points], marker, color=colour, markersize=4, label=label)
        low, high = ([100 * end for end in ends] for ends in zip(*((row.low, row.high) for row in points), strict=True))
        precision.fill_between(heights, low, high, color=colour, alpha=0.08)
        correct.plot(heights, [100 * row.PCK for row in points], marker, color=colour, markersize=4)
    interval = conditions["interval"].split(",")[0]
    for axes, score in ((precision, f"AP, % (band: {interval})"), (correct, "PCK@0.2, %")):
        axes.set(xscale="log", xlabel="pixels of each person, height x width", ylabel=score, ylim=(0, 100))
        axes.set_xticks([size[0] for size in resolutions], [f"{size[0]}x{size[1]}" for size in resolutions], fontsize=8)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=min(3, len(networks)), fontsize=8)
    figure.suptitle(f"{conditions['annotations']}, {rows[0].people} people, boxes: {conditions['boxes']}", fontsize=9)
    figure.savefig(path, dpi=110)
