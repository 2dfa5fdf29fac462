"""Parameters against the latency of one image, as ``cmsa benchmark`` draws them.

    python docs/pictures/benchmark.py

draws ``docs/benchmark.png`` from ``docs/measured/benchmark.json``: the first table in docs/performance.md, as it is
printed.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from cmsa.benchmark.plot import plot

DOCS = Path(__file__).resolve().parents[1]


def main(path: Path = DOCS / "benchmark.png") -> None:
    """Draw a panel for each precision."""
    measured = json.loads((DOCS / "measured" / "benchmark.json").read_text(encoding="utf-8"))
    rows = [SimpleNamespace(**row | {"network": f"{row['network']} {row['input']}"}) for row in measured["rows"]]
    for row in rows:
        row.network = row.network.replace("CMSA", "cmsa")  # whose points are round
    plot(rows, measured["conditions"], path)


if __name__ == "__main__":
    main()
