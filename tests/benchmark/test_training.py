from __future__ import annotations

import json

import pytest
import torch
from tiny_people import SIZE

from cmsa.benchmark.parts import Parts
from cmsa.benchmark.training import benchmark_training, in_percent
from cmsa.models.network import CMSA


@pytest.fixture
def compiled(monkeypatch):
    """The networks that were to be compiled, and are not."""
    found = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network: found.append(network))
    return found


def test_rows_are_the_implementations_of_each_precision(tiny_networks, compiled, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    sizes, precisions = [SIZE], ["float32", "bf16"]
    rows = benchmark_training(
        ["cmsa_n"], sizes, precisions, batch=2, compile_network=True, threads=1, rounds=1, out=tmp_path
    )
    names = ["plain", "ours", "compiled"]
    assert [(row.precision, row.implementation) for row in rows] == [(p, name) for p in precisions for name in names]
    assert [type(network) for network in compiled] == [CMSA, CMSA]
    assert all((row.height, row.width) == SIZE for row in rows)
    for first in (0, 3):
        plain = rows[first]
        assert plain.speedup == 1
        for row in rows[first : first + 3]:
            assert row.throughput > 0
            assert row.speedup == pytest.approx(row.throughput / plain.throughput)
            assert (row.parts is not None) == (row.implementation == "ours")
    content = json.loads((tmp_path / "training.json").read_text())
    assert [row["implementation"] for row in content["rows"]] == names * 2
    assert content["rows"][1]["parts"]["backward"] == rows[1].parts.backward
    assert content["conditions"]["batch"] == 2
    told = capsys.readouterr().out
    for part in ("1 threads", "pose in batches of 2", "compiled", "cmsa_n 16x12 bf16: augmentation", "most of it in"):
        assert part in told


@pytest.mark.parametrize("task", ["head_pose", "classification"])
def test_every_task_trains(tiny_networks, task):
    rows = benchmark_training(["cmsa_n"], [(16, 12)], ["float32"], task, batch=2, threads=1, rounds=1)
    assert [row.implementation for row in rows] == ["plain", "ours"]


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="training runs in float32 or bf16, not in int8"):
        benchmark_training(["cmsa_n"], precisions=["float32", "int8"])


def test_parts_in_words():
    parts = Parts(0.1, 0.3, 0.55, 0.05, [("mm", 0.2), ("copy", 0.1)])
    wanted = "augmentation 10%, forward 30%, backward 55%, optimizer 5%; most of it in mm 20%, copy 10%"
    assert in_percent(parts) == wanted
