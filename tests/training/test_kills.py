"""A run that is killed again and again, at any moment, ends with the weights of the one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from tiny_people import people_store, tiny_recipe, write_people

from cmsa.models.create import load_weights

KILLS = 20
SEED = 0


def start(recipe: Path, run: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cmsa", "train", str(recipe), "--out", str(run), "--accelerator", "cpu"]
    command += ["--threads", "1", "--checkpoint-minutes", "0", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.exhaustive
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system does not kill")
def test_twenty_kills(tmp_path: Path) -> None:
    write_people(tmp_path)
    stores = [people_store(tmp_path, f"{name}.crops", training=name == "train") for name in ("train", "val")]
    recipe = tmp_path / "recipe.yaml"
    content = tiny_recipe(*stores, ema_decay=0.9, epochs=60, batch_size=2).to_dict()
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    begin = time.monotonic()
    assert start(recipe, unbroken).wait() == 0
    seconds = time.monotonic() - begin

    moments = random.Random(SEED)
    kills = 0
    while kills < KILLS:
        process = start(recipe, broken, *(["--resume"] if (broken / "last.ckpt").exists() else []))
        time.sleep(moments.uniform(0, seconds / 2))
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr and process.stderr.read().decode()
            break
        process.kill()
        process.wait()
        kills += 1
    if process.returncode:
        assert start(recipe, broken, "--resume").wait() == 0
    print(f"{kills} kills survived")
    assert kills > 3
    for name in ("best", "last"):
        found, expected = (load_weights(run / f"{name}.safetensors") for run in (broken, unbroken))
        for key, value in expected.state_dict().items():
            assert torch.equal(found.state_dict()[key], value), key
    logs = [(run / "logs" / "metrics.csv").read_text(encoding="utf-8") for run in (broken, unbroken)]
    assert logs[0] == logs[1]
    assert not list(broken.glob("*.partial"))
    assert os.listdir(broken)
