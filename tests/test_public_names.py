"""The names of ``cmsa``: gathered when they are asked for, and the same to Python, to type checkers and to pickle."""

import ast
import pickle
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import cmsa

ROOT = Path(__file__).parents[1]


def test_what_type_checkers_read_is_what_python_finds():
    tree = ast.parse((ROOT / "src" / "cmsa" / "__init__.py").read_text(encoding="utf-8"))
    blocks = (node for node in tree.body if isinstance(node, ast.If))
    (block,) = (node for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING")
    read = {alias.name: node.module for node in block.body for alias in node.names}
    assert read == cmsa._HOMES
    assert sorted(read) == sorted(cmsa.__all__)


@pytest.mark.parametrize("name", cmsa.__all__)
def test_each_name(name):
    assert getattr(cmsa, name) is getattr(import_module(cmsa._HOMES[name]), name)
    assert name in dir(cmsa)
    assert pickle.loads(pickle.dumps(getattr(cmsa, name))) is getattr(cmsa, name)


def test_a_name_that_there_is_not():
    with pytest.raises(AttributeError, match="'cmsa' has no attribute 'predictor'"):
        cmsa.predictor  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Predictr'"):
        from cmsa import Predictr  # noqa: F401


def test_a_name_that_lacks_pytorch_says_what_runs_without(monkeypatch):
    """After ``pip install --no-deps``, which is how small devices have it."""
    monkeypatch.delitem(vars(cmsa), "Predictor", raising=False)
    monkeypatch.delitem(sys.modules, "cmsa.inference.predictor", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"cmsa.Predictor needs torch.*: pip install cmsa; .* by cmsa\.edge"):
        cmsa.Predictor  # noqa: B018


def test_a_name_imports_what_it_needs_and_no_more():
    code = (
        "import sys, pickle\n"
        "import cmsa\n"
        "assert 'numpy' not in sys.modules\n"
        "box = pickle.loads(pickle.dumps(cmsa.Box(1, 2, 3, 4)))\n"
        "assert box == cmsa.Box(1, 2, 3, 4)\n"
        "assert 'torch' not in sys.modules\n"
        "from cmsa import *\n"
        "assert fuse is cmsa.fuse and CMSA is cmsa.CMSA and stream is cmsa.stream\n"
    )
    done = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_version_is_written_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "cmsa.version.__version__"}
