"""JSON files as they are written here: whole or not at all, UTF-8, and null for what JSON has no word for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cmsa.files.whole import whole_file


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write a value that ``plain`` takes; the folder is made.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    with whole_file(path) as partial:
        partial.write_text(json.dumps(plain(value), indent=indent, allow_nan=False), encoding="utf-8")


def plain(value: Any) -> Any:
    """A value as JSON has it: numpy's numbers and arrays become Python's, what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
