"""JSON files, read in one way: UTF-8 with or without a byte-order mark, UTF-16, UTF-32; damage is one kind of error.

An object that has a key twice is refused: Python's reader takes the last value without a word. That this is looked for
makes a COCO file 4 % slower to read, and a list of detections 10 %.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SHOWN = 60


class JsonError(ValueError):
    """A file that cannot be read, is not JSON, or has a key twice in one object; the message names it."""


def read_json(path: Path) -> Any:
    """The value in a file.

    Raises:
        JsonError: the file cannot be read, is not JSON, or has a key twice in one object.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JsonError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_json(content, str(path))


def parse_json(content: bytes | str, where: str) -> Any:
    """The value of a text.

    Raises:
        JsonError: it is not JSON, or has a key twice in one object; ``where`` is named.
    """
    try:
        return json.loads(content, object_pairs_hook=refuse_repeated)
    except JsonError as error:
        raise JsonError(f"{where}: {error}") from error
    except (ValueError, RecursionError) as error:  # a thousand brackets are too deep for Python's reader
        raise JsonError(f"{where}: is not JSON ({error})") from error


def refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its pairs, for ``json.loads``.

    Raises:
        JsonError: a key stands there twice; it is named, with numbers and texts of the object to find it by.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
        short = {key: value for key, value in pairs if key != repeated and isinstance(value, int | float | str)}
        where = f", beside {json.dumps(short)[:_SHOWN]}" if short else ""
        raise JsonError(f"the key {repeated!r} stands twice in one object{where}")
    return found


@contextmanager
def expecting(what: str, path: Path) -> Iterator[None]:
    """Where the value of a file is taken apart: an entry that is not there, or is no such value, is told of the file.

    Args:
        what: the file should be, e.g. ``benchmark.json of cmsa benchmark``.
        path: of the file.

    Raises:
        JsonError: it is something else.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        wrong = f"it has no {error}" if isinstance(error, KeyError) else "an entry holds another kind of value"
        raise JsonError(f"{path}: is no {what}: {wrong}") from error


def is_number(value: object) -> bool:
    """Whether a value of a JSON file is a finite number; true and false are none."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of some hundred digits
        return False
