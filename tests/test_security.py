"""Nothing that is read can run code, and nothing leaves the machine unless it was asked for."""

from __future__ import annotations

import ast
import asyncio
import pickle
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from cmsa.data.datasets.cifar import read_array_pickle
from cmsa.data.datasets.class_images import ClassDataError

SOURCE = Path(__file__).parents[1] / "src" / "cmsa"
FORBIDDEN = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open"),
    *("yaml.load", "yaml.full_load", "yaml.unsafe_load", "joblib.load", "torch.jit.load", "torch.hub.load"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "eval", "exec"),
}


def full_names(tree: ast.AST) -> dict[str, str]:
    """What a file calls things -> what they are called where they come from."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def offences(tree: ast.AST) -> list[str]:
    """Calls that may run what they read."""
    names, found = full_names(tree), []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, dot, rest = ast.unparse(node.func).partition(".")
        name = names.get(first, first) + dot + rest
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            name in FORBIDDEN
            or given.get("shell", "False") != "False"
            or given.get("allow_pickle", "False") != "False"
            or given.get("weights_only", "True" if name != "torch.load" else "") != "True"
        ):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_file_of_ours_runs_what_it_reads(file: Path) -> None:
    assert offences(ast.parse(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("imports", "code"),
    [
        ("import torch", "torch.load(p)"),
        ("import torch", "torch.load(p, weights_only=False)"),
        ("import torch as t", "t.load(p)"),
        ("from torch import load", "load(p)"),
        ("import pickle", "pickle.load(f)"),
        ("from pickle import loads as read", "read(b)"),
        ("from pickle import Unpickler", "Unpickler(f)"),
        ("import subprocess", "subprocess.run(c, shell=True)"),
        ("from subprocess import run", "run(c, shell=as_text)"),
        ("from os import system", "system(c)"),
        ("import yaml", "yaml.load(t)"),
        ("import yaml", "yaml.load(t, Loader=yaml.Loader)"),
        ("import numpy as np", "np.load(p, allow_pickle=True)"),
        ("", "eval(t)"),
    ],
)
def test_the_search_finds_what_it_looks_for(imports: str, code: str) -> None:
    assert offences(ast.parse(f"{imports}\n{code}")) == [code]


@pytest.mark.parametrize("code", ["import torch\ntorch.load(p, weights_only=True)", "import yaml\nyaml.safe_load(t)"])
def test_the_search_finds_nothing_else(code: str) -> None:
    assert offences(ast.parse(code)) == []


def test_a_pickle_that_would_run_code_does_not(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "train").write_bytes(pickle.dumps({b"data": Harmful()}))
    with pytest.raises(ClassDataError, match="has no place in a file of arrays"):
        read_array_pickle(tmp_path / "train")
    assert not (tmp_path / "ran").exists()


OUTSIDE = "192.0.2.1", 80  # kept for examples by RFC 5737: nobody is there


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection(OUTSIDE),
        lambda: socket.socket().connect_ex(OUTSIDE),
        lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", OUTSIDE),
        lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", 0, OUTSIDE),
        lambda: socket.getaddrinfo("example.org", 80),
        lambda: socket.gethostbyname("example.org"),
        lambda: urllib.request.urlopen("http://example.org"),
        lambda: asyncio.run(asyncio.open_connection(*OUTSIDE)),
    ],
)
def test_the_suite_reaches_nothing_but_this_machine(reach: Callable[[], object]) -> None:
    with pytest.raises(OSError, match="no test may reach"):
        reach()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_suite_reaches_this_machine(host: str) -> None:
    with socket.create_server((host, 0)) as server:
        socket.create_connection(server.getsockname()).close()
