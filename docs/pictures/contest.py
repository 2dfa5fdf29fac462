"""PCK of light networks against the time that they take for a person.

    python docs/pictures/contest.py

draws ``docs/contest.png`` from ``docs/measured/contest_pose_32x24.csv``, and from the times of the first table of
docs/contest.md: networks read by heatmaps, of which both are there.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev

from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parents[1]
RUNS = DOCS / "measured" / "contest_pose_32x24.csv"
PICTURE = DOCS / "contest.png"
COST = re.compile(r"^\| `(\w+)` \| (.+?) \| (\S+) \|.*\| (\S+) \|$", re.MULTILINE)
PANELS = {"people PCK@0.2": "people val: PCK@0.2, %", "LSPET PCK@0.2": "LSPET val: PCK@0.2, %"}


def main() -> None:
    """Draw both panels."""
    runs: dict[str, list[dict[str, str]]] = defaultdict(list)
    with RUNS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not row["entries"]:
                runs[row["recipe"]].append(row)
    costs = COST.findall((DOCS / "contest.md").read_text(encoding="utf-8"))
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (column, label) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        for recipe, network, size, time in costs:
            values = [float(row[column]) for row in runs.get(recipe, [])]
            if values:
                deviation = stdev(values) if len(values) > 1 else 0.0
                name = f"{network} at {size}, n = {len(values)}"
                axes.errorbar(float(time), fmean(values), deviation, fmt="o", capsize=3, label=name)
        axes.axvspan(0.8, 1.2, color="0.93", zorder=0)
        axes.set(xlabel="time of a person, CMSA-N: 1", ylabel=label, xlim=(0.75, 1.25))
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
