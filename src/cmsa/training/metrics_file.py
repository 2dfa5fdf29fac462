"""``metrics.csv`` of a run, which a resumed run continues."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from cmsa.files.whole import whole_file

FLUSH_EVERY = 100
"""Rows."""


class MetricsFile(Logger):
    """One row for each time that something is logged, one column for each name; a new name makes the file anew.

    Args:
        path: the file. One that is there already is replaced at the first row, unless ``go_on`` comes before.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.columns: list[str] = []
        self.waiting: list[dict[str, Any]] = []
        self.rows = 0

    def __len__(self) -> int:
        """Rows so far."""
        return self.rows

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """There is one."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """They stand in the weights' description."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row."""
        self.waiting.append({name: float(value) for name, value in metrics.items()} | {"step": step})
        self.rows += 1
        if len(self.waiting) >= FLUSH_EVERY:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the rows that wait."""
        rows, self.waiting = self.waiting, []
        self._write(rows, fresh=self.rows == len(rows))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rows that wait."""
        self.save()

    def go_on(self, rows: int | None, steps: int) -> None:
        """Keep what an earlier run wrote until a checkpoint; what it wrote after that comes again.

        Args:
            rows: how many were written until then; None where that is not known.
            steps: that were done.
        """
        if not self.path.is_file():
            return
        kept = list(csv.DictReader(self._whole_lines()))
        kept = kept[:rows] if rows is not None else [row for row in kept if _number(row.get("step")) < steps]
        self.columns, self.rows = [], len(kept)
        self._write([{name: value for name, value in row.items() if value} for row in kept], fresh=True)

    def _write(self, rows: list[dict[str, Any]], fresh: bool) -> None:
        if not rows:
            return
        columns = sorted({name for row in rows for name in row}.union(self.columns))
        if not fresh and columns == self.columns:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, columns).writerows(rows)
            return
        before = [] if fresh else list(csv.DictReader(self._whole_lines()))
        with whole_file(self.path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(before + rows)
        self.columns = columns

    def _whole_lines(self) -> io.StringIO:
        """A process that is killed while it writes leaves half a line."""
        text = self.path.read_bytes().decode("utf-8", errors="replace")
        return io.StringIO(text[: text.rfind("\n") + 1], newline="")


def _number(text: str | None) -> float:
    try:
        return float(text or "inf")
    except ValueError:
        return float("inf")
