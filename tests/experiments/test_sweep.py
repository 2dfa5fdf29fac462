"""A sweep's processes, with a small program in the place of ``cmsa train``."""

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from cmsa.experiments import sweep
from cmsa.experiments.grid import cells_of, parse_axis
from cmsa.experiments.sweep import OUTCOME, finished, run_sweep
from cmsa.files.lock import FolderInUseError, only_process_in
from cmsa.training.interruption import Interrupted
from cmsa.training.recipe import load_recipe
from cmsa.training.run_folder import PLAN

PROGRAM = """#!{python} -S
import os, signal, sys, time
recipe, folder = sys.argv[4], sys.argv[6]
assert sys.argv[1:4] == ["-m", "cmsa", "train"] and sys.argv[5] == "--out" and recipe == folder + "/recipe.yaml"
with open(folder + "/calls", "a") as file:
    file.write(" ".join(sys.argv[7:]) + " " + os.environ.get("CUDA_VISIBLE_DEVICES", "") + "\\n")
if "codec=simcc" in folder and not os.path.exists(folder + "/mended"):
    print("cmsa train: something is wrong")
    print("x/last.ckpt: the run can go on from here with --resume")
    sys.exit(2)
if "codec=dark" in folder and "--resume" not in sys.argv:
    def end(number, _):
        open(folder + "/last.ckpt", "w").close()
        sys.exit(143)
    signal.signal(signal.SIGTERM, end)
    open(folder + "/waits", "w").close()
    time.sleep(60)
open(folder + "/last.safetensors", "w").close()
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "program"
    file.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sweep.sys, "executable", str(file))
    monkeypatch.setattr(sweep, "POLL_SECONDS", 0.01)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text(encoding="utf-8").splitlines()


def codecs(*names: str, seeds: tuple[int, ...] = ()) -> list[sweep.Cell]:
    return cells_of([parse_axis([f"codec={','.join(names)}"])], seeds)


def test_a_table_is_swept_row_by_row(tmp_path: Path) -> None:
    out, rows = tmp_path / "out", ["contest_cmsa_n", "contest_resnet18"]
    cells = cells_of([parse_axis(["codec=udp"])], [1], rows)
    assert [cell.name for cell in cells] == [f"row={row},codec=udp,seed=1" for row in rows]
    run_sweep("contest_pose_32x24", cells[:1], out, tell=lambda _: None)
    recipe = load_recipe(str(out / cells[0].name / "recipe.yaml"))
    assert recipe == load_recipe("contest_cmsa_n", ["--codec=udp", "--seed=1"])


def test_every_cell_is_trained_once(tmp_path: Path) -> None:
    out, told = tmp_path / "out", []
    cells = codecs("udp", "quarter")
    options = {"overrides": ["--optimizer.epochs=3"], "options": ["--threads", "1"], "tell": told.append}
    assert run_sweep("digits", cells, out, **options) == []
    for cell in cells:
        assert finished(out / cell.name)
        assert calls(out / cell.name) == ["--no-progress --threads 1 " + os.environ.get("CUDA_VISIBLE_DEVICES", "")]
        recipe = load_recipe(str(out / cell.name / "recipe.yaml"))
        assert recipe == load_recipe("digits", ["--optimizer.epochs=3", *cell.overrides])
        outcome = json.loads((out / cell.name / OUTCOME).read_text(encoding="utf-8"))
        assert outcome["exit_code"] == 0
        assert 0 < outcome["seconds"] < 60
    assert [line.split(": ")[1][:8] for line in told] == ["begins", "finished"] * 2
    # One cell more: those that are there are not trained again, and stay in the plan.
    assert run_sweep("digits", codecs("udp", "exact_quarter"), out, **options) == []
    assert "1 of 2 cells are finished already" in told
    assert len(calls(out / "codec=udp")) == 1
    planned = json.loads((out / PLAN).read_text(encoding="utf-8"))["cells"]
    assert [cell["name"] for cell in planned] == ["codec=udp", "codec=quarter", "codec=exact_quarter"]


def test_a_cell_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    told: list[str] = []
    cells = codecs("simcc", "udp")
    assert run_sweep("digits", cells, tmp_path, tell=told.append) == ["codec=simcc"]
    (line,) = (line for line in told if "FAILED" in line)
    assert "codec=simcc: FAILED, exit code 2: cmsa train: something is wrong (" in line
    assert finished(tmp_path / "codec=udp")
    (tmp_path / "codec=simcc" / "mended").touch()
    assert run_sweep("digits", cells, tmp_path, tell=told.append) == []
    assert [len(calls(tmp_path / cell.name)) for cell in cells] == [2, 1]


def test_processes_share_the_gpus(tmp_path: Path) -> None:
    cells = codecs("udp", seeds=(0, 1, 2, 3))
    assert run_sweep("digits", cells, tmp_path, parallel=2, gpus=["4", "6"], tell=lambda _: None) == []
    used = [calls(tmp_path / cell.name)[0].split()[-1] for cell in cells]
    assert used[:2] == ["4", "6"]
    assert set(used) == {"4", "6"}


def test_a_signal_is_handed_on_and_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = codecs("dark", "udp")
    sleep = time.sleep

    def interrupt(seconds: float) -> None:
        sleep(seconds)
        handler = signal.getsignal(signal.SIGINT)
        if (tmp_path / "codec=dark" / "waits").exists():
            assert callable(handler)
            handler(signal.SIGINT, None)

    with monkeypatch.context() as patch:
        patch.setattr(sweep.time, "sleep", interrupt)
        with pytest.raises(Interrupted, match="goes on from here") as raised:
            run_sweep("digits", cells, tmp_path, tell=lambda _: None)
    assert raised.value.exit_code == 130
    assert json.loads((tmp_path / "codec=dark" / OUTCOME).read_text(encoding="utf-8"))["exit_code"] == 143
    assert not (tmp_path / "codec=udp" / "calls").exists()
    assert run_sweep("digits", cells, tmp_path, tell=lambda _: None) == []
    assert "--resume" in calls(tmp_path / "codec=dark")[1]
    assert all(finished(tmp_path / cell.name) for cell in cells)


def test_a_folder_of_another_recipe_and_one_in_use_are_refused(tmp_path: Path) -> None:
    run_sweep("digits", codecs("udp"), tmp_path, tell=lambda _: None)
    with pytest.raises(
        ValueError, match=r"codec=udp: holds a run of another recipe \(optimizer.epochs 30 there, 5 here"
    ):
        run_sweep("digits", codecs("udp"), tmp_path, overrides=["--optimizer.epochs=5"])
    with only_process_in(tmp_path), pytest.raises(FolderInUseError):
        run_sweep("digits", codecs("udp"), tmp_path)


def test_a_training_that_outlives_its_sweep_is_not_begun_again(tmp_path: Path) -> None:
    """As where the sweep was killed: the next one is told to wait for it."""
    name = "codec=dark"
    (tmp_path / name).mkdir()
    with only_process_in(tmp_path) as lock:
        left = sweep._Processes(tmp_path, [], [], lock).start(name, 0)
    try:
        with pytest.raises(FolderInUseError, match="another process works in this folder; wait for it"):
            run_sweep("digits", codecs("dark"), tmp_path)
    finally:
        left.process.kill()
        left.process.wait()
    with only_process_in(tmp_path):
        pass


def test_the_folder_of_a_run_or_a_store_is_none_for_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "starts.jsonl").touch()
    with pytest.raises(FileExistsError, match="is the folder of a run: choose another one for the sweep"):
        run_sweep("digits", codecs("udp"), tmp_path)
    (tmp_path / "crops.npy").touch()
    with pytest.raises(FileExistsError, match="is a store of crops: choose another folder"):
        run_sweep("digits", codecs("udp"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"starts.jsonl", "crops.npy", "program"}
