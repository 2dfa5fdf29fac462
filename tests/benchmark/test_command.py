from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_people import write_people

from cmsa.cli.main import main


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the benchmarks were asked for, by kind."""
    asked: dict[str, Any] = {}
    places = {
        "inference": "cmsa.benchmark.benchmark",
        "training": "cmsa.benchmark.training.benchmark_training",
        "data": "cmsa.benchmark.data.benchmark_data",
    }
    for kind, place in places.items():
        monkeypatch.setattr(place, lambda *arguments, kind=kind, **options: asked.update({kind: (*arguments, options)}))
    return asked


def test_inference_is_the_default(told):
    assert main(["benchmark"]) == 0
    assert told == {"inference": ({"out": Path("benchmark")},)}


@pytest.mark.parametrize("name", [[], ["inference"]])
def test_options_of_inference(told, name):
    options = ["--variants", "cmsa_n", "--sizes", "32x24", "64x48", "--runtimes", "torch", "--precisions", "int8"]
    more = [
        "--batch",
        "8",
        "--threads",
        "1",
        "--rounds",
        "3",
        "--no-peers",
        "--peer",
        "a.onnx",
        "b.xml",
        "--out",
        "there",
    ]
    assert main(["benchmark", *name, *options, *more]) == 0
    wanted = {
        "variants": ["cmsa_n"],
        "sizes": [(32, 24), (64, 48)],
        "runtimes": ["torch"],
        "precisions": ["int8"],
        "batch": 8,
        "threads": 1,
        "rounds": 3,
        "with_peers": False,
        "peers": [Path("a.onnx"), Path("b.xml")],
        "out": Path("there"),
    }
    assert told == {"inference": (wanted,)}


def test_options_of_training_and_data(told):
    assert main(["benchmark", "training", "--task", "head_pose", "--compile", "--precisions", "bf16"]) == 0
    assert main(["benchmark", "data", "--annotations", "a.json", "--images", "b", "--size", "16x12"]) == 0
    out = Path("benchmark")
    assert told == {
        "training": ({"task": "head_pose", "compile_network": True, "precisions": ["bf16"], "out": out},),
        "data": (Path("a.json"), Path("b"), {"size": (16, 12), "out": out}),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training", "--runtimes", "torch"], "--runtimes is no option of the training benchmark"),
        (["--compile"], "--compile is no option of the inference benchmark"),
        (["data", "--no-peers"], "--no-peers is no option of the data benchmark"),
        (["data", "--images", "b"], "--annotations is required for the data benchmark"),
        (["data", "--annotations", "b"], "--images is required for the data benchmark"),
    ],
)
def test_what_means_nothing_is_refused(told, capsys, arguments, message):
    assert main(["benchmark", *arguments]) == 2
    assert capsys.readouterr().err == f"cmsa benchmark: {message}\n"
    assert told == {}


def test_training_of_a_tiny_network(tiny_networks, tmp_path, capsys):
    options = ["--variants", "cmsa_n", "--sizes", "16x12", "--precisions", "float32", "--batch", "2"]
    assert main(["benchmark", "training", *options, "--threads", "1", "--rounds", "1", "--out", str(tmp_path)]) == 0
    assert "cmsa_n 16x12 float32: augmentation" in capsys.readouterr().out
    assert (tmp_path / "training.json").is_file()


@pytest.mark.slow
def test_data_of_a_few_people(tmp_path):
    """In a process of its own: OpenVINO leaves a signal stack that is gone, and the end of a worker is a signal."""
    annotations, images = write_people(tmp_path)
    options = ["--annotations", str(annotations), "--images", str(images), "--size", "16x12", "--batch", "4"]
    more = ["--threads", "1", "--rounds", "1", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "cmsa", "benchmark", "data", *options, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "packed store" in done.stdout
    assert (tmp_path / "out" / "data.json").is_file()
