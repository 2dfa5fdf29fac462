"""Crops seen against AP and PCK, from the scores that training logged.

    python docs/pictures/learning_curve.py

draws ``docs/learning_curve_people.png`` from ``docs/measured/learning_curve_cmsa_n_pose_32x24.csv``: what stands in the
``metrics.csv`` of the runs that the weights come from, steps counted in crops through all of them.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parents[1]
SCORES = DOCS / "measured" / "learning_curve_cmsa_n_pose_32x24.csv"
PICTURE = DOCS / "learning_curve_people.png"


def main() -> None:
    """Draw both panels."""
    curves: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    with SCORES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            crops, average, correct = (float(row[name]) for name in ("crops", "AP", "PCK@0.2"))
            curves[row["data"]].append((crops / 1000, 100 * average, 100 * correct))
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for place, (axes, label) in enumerate(zip(figure.subplots(1, 2), ("AP, %", "PCK@0.2, %"), strict=True), 1):
        for name, points in curves.items():
            axes.plot([point[0] for point in points], [point[place] for point in points], ".-", label=name)
        axes.set(xlabel="crops seen, thousands", ylabel=label, ylim=(0, (50, 100)[place - 1]))
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
