"""The house's rules: imports run one way, files stay short, and the public names are quiet and light."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "cmsa"
FILES = sorted(PACKAGE.rglob("*.py"))

FLOORS = (
    {"files", "version"},
    {"guidance"},
    {"structures"},
    {"geometry"},
    {"models", "data", "visualization"},
    {"runtime", "metrics", "edge"},
    {"tasks"},
    {"export"},
    {"training", "inference"},
    {"evaluation", "benchmark", "app", "serve"},
    {"experiments"},
    {"cli"},
    {"", "__main__"},
)
"""The rooms from the ground up: each may import what lies below it. The public names stand on all of them."""
PUBLIC = "cmsa"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imported_modules(name: str) -> set[str]:
    """The modules of cmsa that a module imports anywhere, inside functions too."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            # ``from package import name`` imports a module where there is one of that name.
            found |= {full if (full := f"{base}.{alias.name}") in MODULES else base for alias in node.names}
    return {module for module in found if module in MODULES}


def room(name: str) -> str:
    """The part of the house: ``cmsa.data.datasets.coco`` is in ``data``, ``cmsa`` itself in ``""``."""
    return name.split(".")[1] if "." in name else ""


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def allowed(importer: str, imported: str) -> bool:
    return importer == imported or floor(importer) > floor(imported)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_one_way(name):
    wrong = sorted(other for other in imported_modules(name) if not allowed(room(name), room(other)))
    assert not wrong, f"{name} must not import {', '.join(wrong)}"


def test_imports_have_no_cycle():
    # The package itself gathers the public names of its modules, so it is left out of both sides.
    graph = {name: imported_modules(name) - {"cmsa", name} for name in MODULES if name != "cmsa"}
    # A package's __init__ and its modules name each other; Python loads that in one order only.
    graph = {name: {other for other in others if not name.startswith(f"{other}.")} for name, others in graph.items()}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("importer", "imported", "fine"),
    [
        ("data", "geometry", True),
        ("tasks", "models", True),
        ("inference", "tasks", True),
        ("cli", "inference", True),
        ("models", "tasks", False),
        ("data", "models", False),
        ("visualization", "data", False),
        ("geometry", "models", False),
        ("training", "evaluation", False),
        ("training", "cli", False),
    ],
)
def test_the_rule_itself(importer, imported, fine):
    assert allowed(importer, imported) is fine


def test_every_room_has_a_floor():
    assert {room(name) for name in MODULES} == set().union(*FLOORS)


def test_import_is_quiet_and_leaves_heavy_packages_alone():
    heavy = [
        "lightning",
        "onnx",
        "onnxruntime",
        "openvino",
        "nncf",
        "matplotlib",
        "torchmetrics",
        "gradio",
        "fastapi",
        "uvicorn",
    ]
    # torch and timm come before warnings count, because theirs are not ours.
    code = (
        "import sys, warnings, torch, timm\n"
        f"before = set(sys.modules) & set({heavy})\n"
        "warnings.simplefilter('error')\n"
        "from cmsa import *\n"
        f"sys.exit(' '.join(sorted(set(sys.modules) & set({heavy}) - before)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"from cmsa import * failed, or imported: {done.stderr}"
    assert done.stdout == ""
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("from cmsa import Predictor, create_model; create_model('cmsa_n', 'pose')", "False"),
        ("import timm, cmsa; timm.create_model('cmsa_n', features_only=True)", "True"),
        ("import cmsa, cmsa.models.registry, timm; timm.create_model('cmsa_n', features_only=True)", "True"),
    ],
    ids=["ours", "timm first", "cmsa first"],
)
def test_timm_is_waited_for_only_where_it_is_used(code, loaded):
    code += "; import sys; print('timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == loaded, done.stderr
