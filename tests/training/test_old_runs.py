"""Runs that were begun before the rooms were rebuilt (version 0.1.0, commit beedef1) go on."""

from __future__ import annotations

import lzma
from pathlib import Path

import torch
from tiny_people import tiny_recipe, train_and_val

from cmsa.training.train import train

OLD = Path(__file__).parent / "data" / "last_0.1.0.ckpt.xz"
"""One epoch of ``tiny_recipe``, two steps, moving average 0.9, written by that version."""


def test_an_old_checkpoint_is_resumed(tmp_path):
    stores = train_and_val(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    with lzma.open(OLD) as packed:
        (run / "last.ckpt").write_bytes(packed.read())
    before = torch.load(run / "last.ckpt", weights_only=False)
    assert before["global_step"] == 2
    train(tiny_recipe(*stores, epochs=2, ema_decay=0.9), run, resume=True, progress=False)
    after = torch.load(run / "last.ckpt", weights_only=False)
    assert after["global_step"] == 4
    assert before["state_dict"].keys() == after["state_dict"].keys()
    moved = [name for name, value in before["state_dict"].items() if not torch.equal(value, after["state_dict"][name])]
    assert moved
    # Where it went on from is where the old run was: two small steps lie between them.
    for name, value in before["state_dict"].items():
        if value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(after["state_dict"][name], value, atol=0.02, rtol=0)
