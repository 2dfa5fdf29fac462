"""A benchmark's rows and conditions as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmsa.files.whole import whole_file, without_nan

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def write_rows(path: Path, rows: Sequence[DataclassInstance], conditions: Mapping[str, Any]) -> None:
    """Write rows, and what they were measured on; the folder is made."""
    content = {"conditions": dict(conditions), "rows": [asdict(row) for row in rows]}
    with whole_file(path) as partial:
        partial.write_text(json.dumps(without_nan(content), indent=1, allow_nan=False), encoding="utf-8")
