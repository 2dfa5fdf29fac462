"""``data.workers``: processes that read crops for a training, which is the same with them, and ends as well."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from tiny_people import tiny_recipe, train_and_val

METHODS = multiprocessing.get_all_start_methods()
COMMAND = "import multiprocessing, sys; from cmsa.cli.main import main; {}; sys.exit(main())"

pytestmark = pytest.mark.exhaustive


def started(recipe: Path, run: Path, method: str, epochs: int, *options: str) -> subprocess.Popen[bytes]:
    """``cmsa train``, whose readers are started so; what it says is in a file beside the run."""
    command = ["-c", COMMAND.format(f"multiprocessing.set_start_method({method!r})"), "train"]
    command += [str(recipe), "--optimizer.epochs", str(epochs), "--out", str(run), "--accelerator", "cpu"]
    command += ["--threads", "1", "--no-progress", "--max-time", "00:00:20:00", *options]
    return python(command, Path(f"{run}.txt"))


def python(arguments: list[str], told: Path) -> subprocess.Popen[bytes]:
    """Python in a session of its own; it speaks to a file, since a reader that lives on would hold a pipe open."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *arguments]
    with told.open("w") as said:
        return subprocess.Popen(command, stdout=said, stderr=said, env=environment, start_new_session=True)


def wait_for_all(process: subprocess.Popen[bytes], seconds: float = 300) -> int:
    """The exit code, when no process of the session is left."""
    deadline = time.monotonic() + seconds
    try:
        code = process.wait(seconds)
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    except ProcessLookupError:
        return code
    except subprocess.TimeoutExpired:
        pass
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("the run, or a reader of its, did not end")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    content = tiny_recipe(*train_and_val(tmp_path), epochs=2, batch_size=2).to_dict()
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


@pytest.mark.parametrize("method", METHODS)
def test_readers_change_nothing(recipe: Path, method: str, tmp_path: Path) -> None:
    weights = []
    for readers in ("0", "2"):
        run = tmp_path / f"run_{readers}"
        code = wait_for_all(started(recipe, run, method, 2, "--data.workers", readers))
        assert code == 0, Path(f"{run}.txt").read_text()
        weights.append(torch.load(run / "last.ckpt", weights_only=False)["state_dict"])
    none, two = weights
    assert none.keys() == two.keys()
    assert all(torch.equal(value, two[key]) for key, value in none.items())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("method", METHODS)
def test_a_signal_that_readers_get_too_costs_nothing(recipe: Path, method: str, number: int, tmp_path: Path) -> None:
    # A terminal's Ctrl-C goes to all processes of a command, and so does what ends a service.
    run = tmp_path / "run"
    process = started(recipe, run, method, 100_000, "--data.workers", "2", "--checkpoint-minutes", "0")
    while process.poll() is None and not (run / "last.ckpt").exists():
        time.sleep(0.1)
    os.killpg(process.pid, number)
    code, said = wait_for_all(process), Path(f"{run}.txt").read_text()
    assert code == 128 + number, said
    assert "last.ckpt holds all: go on with --resume" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("method", METHODS)
def test_readers_do_not_outlive_a_run_that_was_killed(recipe: Path, method: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(recipe, run, method, 100_000, "--data.workers", "2", "--checkpoint-minutes", "0")
    while process.poll() is None and not (run / "last.ckpt").exists():
        time.sleep(0.1)
    process.kill()
    assert wait_for_all(process) == -signal.SIGKILL


@pytest.mark.parametrize("method", METHODS)
def test_readers_end_with_a_process_that_still_reads(method: str, tmp_path: Path) -> None:
    """As a training that a signal ended in the middle of a batch."""
    store, _ = train_and_val(tmp_path)
    script = tmp_path / "reads.py"
    script.write_text(
        "import multiprocessing\n"
        "from cmsa.data.loader import store_loader\n"
        "from cmsa.data.store import CropStore\n"
        "if __name__ == '__main__':\n"
        f"    multiprocessing.set_start_method({method!r})\n"
        f"    loader = store_loader([CropStore.open({str(store.folder)!r})], 2, training=True, workers=2)\n"
        "    batches = iter(loader)\n"
        "    next(batches)\n"
    )
    said = tmp_path / "said.txt"
    assert wait_for_all(python([str(script)], said), 60) == 0
    assert "Error" not in said.read_text()
