"""Two processes (gloo) train as one does, and stop together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_people import people_store, write_people

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
