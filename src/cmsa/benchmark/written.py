"""A benchmark's rows and conditions as a JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmsa.files.write_json import write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def write_rows(path: Path, rows: Sequence[DataclassInstance], conditions: Mapping[str, Any]) -> None:
    """Write rows, and what they were measured on; the folder is made."""
    write_json(path, {"conditions": conditions, "rows": [asdict(row) for row in rows]}, indent=1)
