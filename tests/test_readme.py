"""Every command and every Python line that the README shows is run here, in the order it is shown."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from documents import blocks_of, commands_of, shorter
from workplace import furnish

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = blocks_of(ROOT / "README.md")
COMMANDS = [command for kind, block in BLOCKS if kind == "bash" for command in commands_of(block)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("readme"))


def test_the_readme_shows_commands_and_python():
    assert {kind for kind, _ in BLOCKS} >= {"bash", "python"}
    assert {"make demo", "make test"} <= set(COMMANDS)


@pytest.mark.slow
def test_every_command_runs(workplace):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in filter(None, COMMANDS):
        if command.startswith("make"):
            continue
        more = shorter(command)
        where = ROOT if command.startswith("pip") else workplace
        done = subprocess.run(
            [*shlex.split(command), *shlex.split(more)], cwd=where, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command} {more}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert json.loads((workplace / "scores.json").read_text())["flip_test"] is True
    assert (workplace / "out" / "pose" / "annotated" / "park.jpg").is_file()


@pytest.mark.slow
def test_make_demo_draws_the_photos():
    if not (ROOT / ".venv" / "installed").is_file():
        pytest.skip("not installed by make: the demo would install first")
    pairs = {
        ROOT / "out" / "demo" / task / "annotated" / f"{name}.jpg": ROOT / "examples" / folder / f"{name}.jpg"
        for task, folder, name in (
            ("pose", "people", "park"),
            ("heads", "people", "photographer"),
            ("things", "things", "rocket"),
        )
    }
    for picture in pairs:
        picture.unlink(missing_ok=True)
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    for picture, photo in pairs.items():
        # The crops stand beside the photo.
        assert cv2.imread(str(picture)).shape[1] > cv2.imread(str(photo)).shape[1]


def test_make_test_is_what_continuous_integration_runs():
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.slow
def test_every_python_block_runs(workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "README.md", "exec"), {})
    assert "left_knee" in capsys.readouterr().out
