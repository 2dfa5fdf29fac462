"""Nothing that is read can run code, and nothing leaves the machine unless it was asked for."""

from __future__ import annotations

import ast
import pickle
import socket
from pathlib import Path

import pytest

from cmsa.data.datasets.cifar import read_array_pickle
from cmsa.data.datasets.class_images import ClassDataError

SOURCE = Path(__file__).parents[1] / "src" / "cmsa"
FORBIDDEN = {"pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "os.system", "os.popen", "eval", "exec"}


def offences(tree: ast.AST) -> list[str]:
    """Calls that may run what they read."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            name in FORBIDDEN
            or given.get("shell") == "True"
            or given.get("allow_pickle") == "True"
            or given.get("weights_only", "True" if name != "torch.load" else "") != "True"
        ):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_file_of_ours_runs_what_it_reads(file: Path) -> None:
    assert offences(ast.parse(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    ["torch.load(p)", "torch.load(p, weights_only=False)", "pickle.load(f)", "run(c, shell=True)", "yaml.load(t)"],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    assert offences(ast.parse(code)) == [code]


def test_a_pickle_that_would_run_code_does_not(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "train").write_bytes(pickle.dumps({b"data": Harmful()}))
    with pytest.raises(ClassDataError, match="has no place in a file of arrays"):
        read_array_pickle(tmp_path / "train")
    assert not (tmp_path / "ran").exists()


def test_the_suite_reaches_nothing_but_this_machine() -> None:
    with pytest.raises(OSError, match="no test may reach"), socket.socket() as outside:
        outside.connect(("192.0.2.1", 80))
    with pytest.raises(OSError, match="no test may reach"):
        socket.getaddrinfo("example.org", 80)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
