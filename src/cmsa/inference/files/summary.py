"""What became of the inputs, in a form that does not grow with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmsa.inference.detectors.looked_up import WHOLE
from cmsa.structures import Value

KEPT = 20
"""So many of each kind are kept to be shown; all are counted."""


@dataclass
class Some:
    """The first few of many, and how many there are."""

    first: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0

    def add(self, name: str, text: str = "") -> None:
        """One more."""
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append((name, text))


@dataclass
class Summary:
    """What became of the inputs.

    Attributes:
        before: pictures and frames that an earlier run had done.
        done: pictures and frames predicted.
        values: predictions made.
        empty: those in which there was no box; they count as done.
        whole: how many were taken as one box each, because nobody looked for any.
        skipped: what was left out, a file or one of its boxes, and why.
        told: what happened to cameras and was no loss.
        files: result files written.
        drawn: folder of the annotated pictures, if there are any.
        shown: the first few predictions, each with its picture's name and its id, if it has one: for a table.
    """

    before: int = 0
    done: int = 0
    values: int = 0
    empty: Some = field(default_factory=Some)
    whole: int = 0
    skipped: Some = field(default_factory=Some)
    told: Some = field(default_factory=Some)
    files: list[Path] = field(default_factory=list)
    drawn: Path | None = None
    shown: list[tuple[str, int | None, Value]] = field(default_factory=list)

    def count(self, label: str, line: Mapping[str, Any]) -> None:
        """One more picture or frame, by its line of ``results.jsonl``."""
        skipped = line.get("skipped", ())
        for left_out in skipped:
            self.skipped.add(f"{label}, box {left_out['box']}", left_out["reason"])
        self.done += 1
        self.values += len(line["predictions"])
        self.whole += line["detector"] == WHOLE
        if not line["predictions"] and not skipped:
            self.empty.add(label)

    @property
    def exit_code(self) -> int:
        """0: all done; 1: something was left out; 2: nothing was done."""
        if not self.done and not self.before:
            return 2
        return 1 if self.skipped.count else 0
