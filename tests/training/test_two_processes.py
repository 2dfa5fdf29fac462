"""Two processes (gloo) train as one does, and stop together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from tiny_people import people_store, tiny_recipe, write_people

from cmsa.data.store import CropStore

SCRIPT = Path(__file__).with_name("two_processes.py")


def start(folder: Path, processes: int, batch: int, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(folder), str(processes), str(batch), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    write_people(folder)
    for name in ("train", "val"):
        people_store(folder, f"{name}.crops", training=name == "train")
    return folder


@pytest.mark.slow
def test_two_processes_are_one_with_a_batch_of_both(folder: Path) -> None:
    for processes, batch in ((1, 4), (2, 2)):
        done = start(folder, processes, batch)
        assert done.returncode == 0, done.stderr
    one, two = (torch.load(folder / f"run_{count}" / "last.ckpt", weights_only=False) for count in (1, 2))
    assert one["global_step"] == two["global_step"] == 4
    apart = {key: (value - two["state_dict"][key]).abs().max() for key, value in one["state_dict"].items()}
    assert max(apart.values()) < 1e-5
    # Both have learned something that could have been learned differently.
    moments = one["optimizer_states"][0]["state"].values()
    assert all(state["exp_avg"].abs().max() > 0 for state in moments if state["exp_avg"].numel() > 100)


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_both(folder: Path) -> None:
    done = start(folder, 2, 2, "1")
    assert done.returncode != 0
    assert done.stderr.count("FloatingPointError: the loss is not finite at step 1") == 2


def train_until_stopped(recipe: Path, run: Path, number: int, *options: str) -> tuple[int, str]:
    """Start two processes, stop the first one when a checkpoint of theirs is there, and wait for both."""
    command = [sys.executable, "-m", "cmsa", "train", str(recipe), "--out", str(run), *options]
    command += ["--accelerator", "cpu", "--devices", "2", "--threads", "1", "--checkpoint-minutes", "0"]
    # Should this test be killed, they would go on for ever.
    command += ["--max-time", "00:00:20:00"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    last = run / "last.ckpt"
    before = last.stat().st_mtime_ns if last.exists() else 0
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    while process.poll() is None and not (last.exists() and last.stat().st_mtime_ns > before):
        time.sleep(0.1)
    process.send_signal(number)
    told = process.communicate(timeout=500)[1]
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("a process outlived the run")
    return process.returncode, told


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both_with_one_checkpoint(folder: Path, number: int, tmp_path: Path) -> None:
    stores = [CropStore.open(folder / f"{name}.crops") for name in ("train", "val")]
    recipe = tmp_path / "recipe.yaml"
    content = tiny_recipe(*stores, epochs=100_000, batch_size=2).to_dict()
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    run, steps = tmp_path / "run", 0
    for options in ((), ("--resume",)):
        code, told = train_until_stopped(recipe, run, number, *options)
        assert code == 128 + number, told
        assert "last.ckpt holds all: go on with --resume" in told
        checkpoint = torch.load(run / "last.ckpt", weights_only=True)
        assert checkpoint["global_step"] >= max(steps, 1)
        steps = checkpoint["global_step"]
        assert not list(run.glob("*.partial"))
