"""A shell that asks how a line goes on gets commands and options, and waits for nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("line", "some"), [("cmsa pre", {"predict", "prepare"}), ("cmsa export --norm", {"--normalise"})]
)
def test_completion(line: str, some: set[str], tmp_path: Path) -> None:
    pytest.importorskip("argcomplete")
    out = tmp_path / "out"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(out), "_ARGCOMPLETE_IFS": "\n"}
    environment = os.environ | asked | {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    code = (
        "import os, sys\n"
        "exit, os._exit = os._exit, lambda code: exit(3 if 'numpy' in sys.modules else code)\n"
        "from cmsa.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {word.strip() for word in out.read_text(encoding="utf-8").splitlines()} == some
