"""``cmsa train`` under torchrun: two processes on one machine, and two machines, both of them this one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tiny_people import tiny_recipe, train_and_val

from cmsa.models.create import create_model
from cmsa.training.launched import devices_and_nodes


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchrun")
    stores = train_and_val(folder)
    file = folder / "recipe.yaml"
    content = tiny_recipe(*stores, batch_size=2, learning_rate_rule="linear", warmup_epochs=0).to_dict()
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "each"), [pytest.param(1, 2, marks=pytest.mark.exhaustive), (2, 1)])
def test_processes_of_torchrun_are_one_training(recipe: Path, nodes: int, each: int, tmp_path: Path) -> None:
    out = tmp_path / "run"
    launch = ["-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={each}", "--rdzv-backend=c10d"]
    launch += [f"--rdzv-endpoint=127.0.0.1:{free_port()}"]
    train = ["-m", "cmsa", "train", str(recipe), "--out", str(out), "--accelerator", "cpu", "--no-progress"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    agents = [
        subprocess.Popen(
            [sys.executable, *launch, *train],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(nodes)
    ]
    told = [agent.communicate(timeout=400)[1] for agent in agents]
    assert [agent.returncode for agent in agents] == [0] * nodes, told
    (start,) = (json.loads(line) for line in (out / "starts.jsonl").read_text(encoding="utf-8").splitlines())
    assert (start["devices"], start["nodes"]) == (each, nodes)
    # Eight people, batches of two in each of two processes, two epochs.
    checkpoint = torch.load(out / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    # The recipe's 0.001, linear in the number of processes.
    assert {group["initial_lr"] for group in checkpoint["optimizer_states"][0]["param_groups"]} == {2e-3}


def test_another_number_than_torchrun_s_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_and_nodes("auto") == ("auto", 1)
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "3")
    assert devices_and_nodes(1) == devices_and_nodes("auto") == devices_and_nodes(2) == (2, 3)
    with pytest.raises(ValueError, match="devices is 4, torchrun has started 2 processes"):
        devices_and_nodes(4)


def test_batch_norms_of_several_processes_stand_in_the_place_of_all(generator: torch.Generator) -> None:
    """They have the same weights under the same names, and of one process the same output."""
    plain = create_model("cmsa_n", "pose", (16, 12))
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    images = torch.randn(2, 3, 16, 12, generator=generator)
    expected, keys = plain.eval()(images), list(plain.state_dict())
    synced = torch.nn.SyncBatchNorm.convert_sync_batchnorm(plain)
    kinds = {type(module) for module in synced.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)}
    assert kinds == {torch.nn.SyncBatchNorm}
    assert list(synced.state_dict()) == keys
    torch.testing.assert_close(synced(images), expected)
