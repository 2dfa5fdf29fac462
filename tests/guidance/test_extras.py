"""A package that is not installed is told with what needs it and with its pip line, wherever it is missing."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from cmsa.app.page import import_gradio
from cmsa.benchmark.files import read_network
from cmsa.data.datasets.class_images import read_digits
from cmsa.edge import EdgePredictor
from cmsa.export.quantize import quantize
from cmsa.export.run import export
from cmsa.guidance.extras import EXTRAS, OTHERS, REQUIRED, load, pip_line
from cmsa.models.create import create_model
from cmsa.structures import to_supervision

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "cmsa"


def exported(path: Path) -> object:
    return export(create_model("cmsa_n", depths=(1, 1, 1)), path)


CASES = [
    ("gradio", "cmsa[app]", lambda folder: import_gradio()),
    ("openvino", "cmsa[export]", lambda folder: read_network(folder / "empty.onnx")),
    ("onnxscript", "cmsa[export]", lambda folder: exported(folder / "new.onnx")),
    ("nncf", "cmsa[export]", lambda folder: quantize(None, "images", torch.zeros(1, 3))),
    ("onnxruntime", "onnxruntime", lambda folder: EdgePredictor(folder / "empty.onnx")),
    ("sklearn", "cmsa[digits]", lambda folder: read_digits(training=True)),
    ("supervision", "supervision", lambda folder: to_supervision([])),
]


@pytest.mark.parametrize(("module", "line", "use"), CASES, ids=[module for module, _, _ in CASES])
def test_it_is_told(module: str, line: str, use: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError) as told:
        use(tmp_path)
    assert f" needs {module}" in str(told.value)
    assert f"not installed here: pip install {line}" in str(told.value).replace("'", "")


def test_what_a_package_lacks_itself_is_its_own_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lacking.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="No module named 'nowhere_to_be_found'"):
        load("lacking", "this test")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("fastapi.routing", "'cmsa[serve]'"),
        ("torch", "cmsa"),
        ("cv2", "cmsa"),
        ("PIL.Image", "pillow"),
        ("numpy", "numpy"),
    ],
)
def test_pip_lines(module: str, line: str) -> None:
    assert pip_line(module) == f"pip install {line}"


def test_what_the_package_asks_for_is_known() -> None:
    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    renamed = {"opencv_python_headless": "cv2", "pyyaml": "yaml", "pillow": "PIL"}
    asked = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in project["dependencies"]}
    assert {renamed.get(name, name) for name in asked} == REQUIRED | {"numpy", "PIL"}


def test_nobody_imports_them_otherwise() -> None:
    """The server's own modules do: its command looks first whether all is there."""
    optional = {name for modules in EXTRAS.values() for name in modules} | set(OTHERS)
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if optional & {name.partition(".")[0] for name in names}:
                found.add(path.relative_to(PACKAGE).parts[0])
    assert found == {"serve"}
