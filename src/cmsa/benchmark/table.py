"""The benchmark's table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cmsa.benchmark.row import Row


def show_table(rows: Sequence[Row], conditions: Mapping[str, Any]) -> None:
    """Print rows, and what they were measured on."""
    from rich.console import Console
    from rich.table import Table

    batch = conditions["batch"]
    title = (
        f"{conditions['machine']}; {conditions['threads']} threads; float32 matrix product "
        f"{conditions['peak_gflops']:.0f} GFLOP/s; medians of {conditions['rounds']} interleaved rounds"
    )
    table = Table(title=title)
    for name in ("network", "input", "runtime", "precision"):
        table.add_column(name)
    for name in (
        "parameters M",
        "MACs G",
        "with attention",
        "1 image, ms",
        f"images/s at {batch}",
        "images/CPU s",
        "of peak",
        f"MB at {batch}",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.height}x{row.width}",
            row.runtime,
            row.precision,
            f"{row.parameters / 1e6:.2f}",
            f"{row.multiply_adds / 1e9:.3f}",
            f"{row.with_attention / 1e9:.3f}",
            f"{row.latency:.1f}",
            f"{row.throughput:.1f}",
            f"{row.throughput_cpu:.1f}",
            f"{row.share_of_peak:.0%}",
            "" if row.memory is None else f"{row.memory:.0f}",
        )
    Console().print(table)
