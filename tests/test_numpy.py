"""NumPy 2 is what is required, what all tests run with, and no name is used that it does not have."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])


def missing_names(tree: ast.AST) -> list[str]:
    """What a file asks NumPy for, as ``np.NAME`` or by importing it, and NumPy has not."""
    asked = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy")
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "numpy":
            asked += [alias.name for alias in node.names]
    return [name for name in asked if not hasattr(np, name)]


def test_numpy_has_every_name_that_is_used() -> None:
    found = {path: missing_names(ast.parse(path.read_text(encoding="utf-8"))) for path in FILES}
    assert {path: names for path, names in found.items() if names} == {}
    assert sum("np." in path.read_text(encoding="utf-8") for path in FILES) > 50


def test_names_that_numpy_removed_would_be_found() -> None:
    assert missing_names(ast.parse("np.float(3); numpy.cumproduct(a); np.float64(3)")) == ["float", "cumproduct"]
    assert missing_names(ast.parse("from numpy import bool_, product")) == ["product"]


def test_numpy_2_is_required_and_here() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "numpy>=2" in project["project"]["dependencies"]
    assert "NPY" in project["tool"]["ruff"]["lint"]["select"]
    assert int(np.__version__.partition(".")[0]) >= 2
