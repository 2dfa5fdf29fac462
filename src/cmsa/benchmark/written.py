"""A benchmark's rows and conditions as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def write_rows(path: Path, rows: Sequence[DataclassInstance], conditions: Mapping[str, Any]) -> None:
    """Write rows, and what they were measured on; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"conditions": dict(conditions), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
