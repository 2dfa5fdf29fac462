"""The benchmark's table in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cmsa.benchmark.row import Row


def show_table(rows: Sequence[Row], conditions: Mapping[str, Any]) -> None:
    """Print rows, and what they were measured on."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    batch, peaks = conditions["batch"], conditions["peak_gflops"]
    title = (
        f"{conditions['machine']}; {conditions['threads']} threads; medians of {conditions['rounds']} interleaved "
        f"rounds\npeak, by products of large matrices: "
        + ", ".join(f"{precision} {speed:.0f} GOP/s" for precision, speed in peaks.items())
    )
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("network", overflow="fold")
    for name in ("runtime", "precision"):
        table.add_column(name, no_wrap=True)
    for name in ("params\nM", "MACs\nG", "1 image\nms", f"images/s\nbatch {batch}", "of\npeak", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    before = ""
    for row in rows:
        first = row.network != before
        if first and before:
            table.add_section()
        table.add_row(
            row.network if first else "",
            row.runtime,
            row.precision,
            f"{row.parameters / 1e6:.2f}" if first else "",
            f"{row.with_attention / 1e9:.3f}" if first else "",
            f"{row.latency:.1f}",
            f"{row.throughput:.1f}",
            "" if math.isnan(row.share_of_peak) else f"{row.share_of_peak:.0%}",
            "" if row.memory is None else f"{row.memory:.0f}",
        )
        before = row.network
    Console().print(table)
