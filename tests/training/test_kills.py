"""A run that is killed again and again, at any moment, ends with the weights of the one that was left alone."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from tiny_people import people_store, tiny_recipe, write_people

from cmsa.models.create import load_weights

KILLS = 20
SEED = 0
SCRIPT = Path(__file__).with_name("start_again.py")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Begins a training and kills it after some seconds, if it takes so long; gives its exit code."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as starter:
        told, asked = starter.stdout, starter.stdin
        assert told is not None
        assert asked is not None

        def run(recipe: Path, folder: Path, seconds: float | None = None) -> int:
            words = ["train", recipe, "--out", folder, "--accelerator", "cpu", "--threads", "1", "--no-progress"]
            words += ["--checkpoint-minutes", "0"] + (["--resume"] if (folder / "last.ckpt").exists() else [])
            print(shlex.join(map(str, words)), file=asked, flush=True)
            process = int(told.readline())
            if seconds is not None:
                time.sleep(seconds)
                with contextlib.suppress(ProcessLookupError):  # it was quicker
                    os.kill(process, signal.SIGKILL)
            return int(told.readline())

        yield run
        asked.close()


@pytest.mark.exhaustive
def test_twenty_kills(tmp_path: Path, start: Callable[..., int]) -> None:
    write_people(tmp_path)
    stores = [people_store(tmp_path, f"{name}.crops", training=name == "train") for name in ("train", "val")]
    recipe = tmp_path / "recipe.yaml"
    content = tiny_recipe(*stores, ema_decay=0.9, epochs=40, batch_size=2).to_dict()
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    begin = time.monotonic()
    assert start(recipe, unbroken) == 0
    seconds = time.monotonic() - begin

    moments, codes = random.Random(SEED), []
    # All together they leave about as much time as the run takes, and less for each beginning.
    while len(codes) < KILLS and 0 not in codes:
        codes.append(start(recipe, broken, moments.uniform(0, seconds / KILLS * 2)))
    print(f"{codes.count(-signal.SIGKILL)} kills survived")
    assert set(codes) <= {-signal.SIGKILL, 0}
    assert codes.count(-signal.SIGKILL) > KILLS / 2
    assert start(recipe, broken) == 0
    for name in ("best", "last"):
        found, expected = (load_weights(run / f"{name}.safetensors") for run in (broken, unbroken))
        for key, value in expected.state_dict().items():
            assert torch.equal(found.state_dict()[key], value), key
    logs = [(run / "logs" / "metrics.csv").read_text(encoding="utf-8") for run in (broken, unbroken)]
    assert logs[0] == logs[1]
    assert not list(broken.glob("*.partial"))
