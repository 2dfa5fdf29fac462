"""A profile says where the time goes."""

from __future__ import annotations

import json

import pytest

from cmsa.benchmark.profile import benchmark_profile


@pytest.mark.exhaustive
def test_kinds_of_layer_before_and_after(tmp_path, capsys):
    rows = benchmark_profile(["cmsa_n"], [(8, 8)], ["float32"], batch=2, threads=1, rounds=1, out=tmp_path)
    unfused, deployed = (row.milliseconds for row in rows)
    assert [row.name for row in rows] == ["cmsa_n unfused", "cmsa_n"]
    assert "transposed convolutions" in unfused
    assert "transposed convolutions" not in deployed
    assert unfused["products with weights"] > 0
    assert deployed["products with weights"] > 0
    assert len(json.loads((tmp_path / "profile.json").read_text())["rows"]) == 2
    assert "depth-wise convolutions" in capsys.readouterr().out
