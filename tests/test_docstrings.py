"""Every name of the reference has an example in its docstring, and the examples are right."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cmsa

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
NAMES = [name for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)]
SLOW = {"cmsa.training.train.train", "cmsa.export.export"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def found(name: str) -> Any:
    """A module, or what is in one."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        home, _, last = name.rpartition(".")
        return getattr(found(home), last)


def test_the_reference_has_every_public_name() -> None:
    assert {f"cmsa.{name}" for name in cmsa.__all__} <= set(NAMES)


def test_the_reference_shows_no_roles_of_sphinx() -> None:
    """mkdocs prints them as they stand."""
    sources = (ROOT / "src").rglob("*.py")
    found_in = [path.name for path in sources if re.search(r":[a-z]+:`", path.read_text(encoding="utf-8"))]
    assert not found_in


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NAMES]
)
def test_example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    what = found(name)
    # It must run where it is copied to: all that it needs beside the name itself, it imports.
    known = {} if isinstance(what, ModuleType) else {name.rpartition(".")[2]: what}
    (example,) = doctest.DocTestFinder(recurse=False).find(what, name, module=False, globs=known)
    assert example.examples, f"{name} has no example"
    told: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=told.append)
    assert not failed, "".join(told)
