"""Recipe files: where they are, and what they say.

A file is one recipe, or a table of them, as a table of a paper is: what all have in common, and under ``rows`` by name
what each has of its own. A row's entries stand over the common ones, section by section; lists, ``published`` and
``model.options`` are replaced as a whole, for the options of one network are not another's.
"""

from __future__ import annotations

import codecs
import copy
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cmsa.guidance.suggestion import there_are
from cmsa.training.recipe_checks import check_values

SHIPPED = Path(__file__).parents[1] / "recipes"
ROWS = "rows"
WHOLE = {"published", "options"}
"""Mappings that a row replaces."""


def read_recipe(name: str) -> dict[str, Any]:
    """The entries of a recipe, as they are written.

    Args:
        name: a YAML file; ``FILE:ROW`` of a table; or a recipe that came with the package, see ``recipe_path``.

    Raises:
        FileNotFoundError: there is no such file, recipe or row.
        ValueError: it is a table, and no row of it was named; or it holds no entries, or is not YAML.
    """
    path, row = _place(name)
    entries = _entries(path)
    rows = entries.pop(ROWS, None)
    if rows is None and row is None:
        return entries
    if not isinstance(rows, dict):
        raise FileNotFoundError(f"{path}: is no table of recipes, there is no row {row!r} in it")
    known = there_are(row or "", map(str, rows), f"cmsa recipes {name.partition(':')[0]}")
    if row is None:
        raise ValueError(f"{path.name} is a table of recipes, name one of them as {name}:ROW; {known}")
    if not isinstance(rows.get(row), dict):
        raise FileNotFoundError(f"{path}: has no row {row!r}; {known}")
    return merged(entries, rows[row])


def rows_of(name: str) -> list[str]:
    """The names of a table's rows; none of a single recipe, or of one row. Errors are those of ``read_recipe``."""
    path, row = _place(name)
    rows = _entries(path).get(ROWS) if row is None else None
    return [str(key) for key in rows] if isinstance(rows, dict) else []


def recipe_path(name: str) -> Path:
    """The file that a recipe stands in.

    Args:
        name: a path; or the name of a recipe or a table that came with the package, with or without ``recipes/`` before
            it. ``:ROW`` after it names a row of a table.

    Raises:
        FileNotFoundError: there is none.
    """
    return _place(name)[0]


def shipped_names() -> list[str]:
    """The recipes that came with the package, those of tables among them."""
    return sorted(name for path in SHIPPED.glob("*.yaml") for name in _names_in(path))


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of ``above`` over those of ``below``, section by section."""
    found = dict(below)
    for key, value in above.items():
        before = found.get(key)
        sections = isinstance(before, dict) and isinstance(value, dict) and key not in WHOLE
        found[key] = merged(before or {}, value) if sections else value
    return found


def _place(name: str) -> tuple[Path, str | None]:
    """A recipe's file, and its row there."""
    if Path(name).is_file():
        return Path(name), None
    whole, colon, row = name.rpartition(":")
    if colon and row and not set(row) & set("/\\"):
        return _place(whole)[0], row
    # A path that was mistyped must not be taken for another recipe of that name.
    folder, _, rest = name.replace("\\", "/").rpartition("/")
    shipped = {"": rest, "recipes": rest.removesuffix(".yaml")}.get(folder)
    if shipped and (SHIPPED / f"{shipped}.yaml").is_file():
        return SHIPPED / f"{shipped}.yaml", None
    for path in sorted(SHIPPED.glob("*.yaml")):
        # Without reading all of the tables as YAML, which takes long.
        if shipped and f"\n  {shipped}:" in path.read_text(encoding="utf-8") and shipped in _names_in(path):
            return path, shipped
    shown = there_are(Path(name).stem or name, shipped_names(), "cmsa recipes")
    raise FileNotFoundError(f"no recipe {name!r}: neither a file nor one that came with cmsa; {shown}")


def _names_in(path: Path) -> list[str]:
    rows = _entries(path).get(ROWS)
    return [str(row) for row in rows] if isinstance(rows, dict) else [path.stem]


def _entries(path: Path) -> dict[str, Any]:
    # A table is asked for once for each of its rows.
    return copy.deepcopy(_parsed(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=64)
def _parsed(path: Path, changed: int) -> dict[str, Any]:
    import yaml

    content = path.read_bytes()
    _check_encoding(path, content)
    try:
        check_values(path)
        entries = yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "it"
        raise ValueError(f"{path} is no recipe: {where} is not YAML") from error
    except RecursionError as error:
        raise ValueError(f"{path} is no recipe: its values are nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{path} is no recipe: {error}") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{path}: holds no entries of a recipe")
    return entries


def _check_encoding(path: Path, content: bytes) -> None:
    """Of what is no UTF-8 YAML tells neither byte nor line."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # which YAML knows, too
        return
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        place = f"byte {error.start + 1:,}, 0x{content[error.start]:02x} in line {line}, is not"
        raise ValueError(f"{path} is no recipe: it must be UTF-8, and {place}") from error
