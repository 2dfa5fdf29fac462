"""No command writes over what it reads, whichever option says so."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_classes import class_store

from cmsa.cli.arguments import parse_folder, parse_json_file, parse_page_file, parse_weights_file
from cmsa.cli.main import COMMANDS, build_parser, main
from cmsa.cli.written import OUTPUTS, files_of_recipe, named_files
from cmsa.models import create_model
from cmsa.models.weights import save_weights
from cmsa.training.recipe import load_recipe

WRITTEN = (Path, parse_folder, parse_json_file, parse_page_file, parse_weights_file)
STORES = "--data.prepare [] --data.validate [val.crops] --data.train [val.crops]"
UNMADE = "--data.train [none.crops] --data.prepare '[--for train --dataset folder --images photos --out none.crops]'"
EVALUATE = f"evaluate mine.yaml --weights mine.safetensors {STORES}"
OVER_INPUTS = [
    "convert mine.safetensors mine.safetensors",
    "convert mine.safetensors ./photos/../mine.safetensors",
    "convert mine.safetensors link.safetensors",
    "label photos --boxes boxes.json --teacher mine.safetensors --out boxes.json",
    "label photos --boxes boxes.json --teacher network.json --out network.json",
    "evaluate recipe.json --weights mine.safetensors --json recipe.json",
    f"evaluate mine.yaml --weights weights.json --json weights.json {STORES}",
    f"{EVALUATE} --model.init weights.json --json weights.json",
    f"{EVALUATE} --teacher.weights weights.json --submit weights.json",
    f"{EVALUATE} --json network.json --exported network.json",
    f"{EVALUATE} --json a.json --submit a.json",
    "label photos --boxes boxes.json --teacher mine.safetensors --out photos/a.png",
    "label photos --boxes boxes.json --teacher mine.safetensors --out photos/sub/b.png",
    "label photos/a.png --boxes boxes.json --teacher mine.safetensors --out photos/a.png",
    "label photos --fill people.json --teacher mine.safetensors --out people.json",
    "label photos --boxes boxes.json --teacher mine.safetensors --out mine.safetensors",
    "label photos --boxes boxes.json --teacher network.xml --out network.bin",
    f"{EVALUATE} --json mine.yaml",
    f"{EVALUATE} --json mine.safetensors",
    f"{EVALUATE} --json val.crops/meta.json",
    f"{EVALUATE} --samples samples.jsonl --json samples.jsonl",
    f"{EVALUATE} --gallery photos/a.png --exported photos/a.png",
    f"{EVALUATE} --json network.onnx --exported network.onnx",
    f"{EVALUATE} --submit mine.yaml",
    f"{EVALUATE} --robustness --out . --json robustness.json",
    f"evaluate mine.yaml --weights weights --json weights/model.safetensors {STORES}",
    f"{EVALUATE} --model.init start.safetensors --json start.safetensors",
    f"{EVALUATE} --teacher.weights start.safetensors --json start.safetensors",
    f"view mine.yaml {UNMADE} --out photos/a.png",
    f"train mine.yaml {STORES} --model.init run/best.safetensors --out run",
    f"train mine.yaml {STORES} --teacher.weights run/last.safetensors --out run",
    "sweep odd/sweep.json --out odd",
    f"sweep mine.yaml {STORES} --model.init odd/table.json --out odd",
    "report run --benchmark notes.md --out notes.html",
    "predict classify photos --boxes out/classes.json --out out",
    "predict classify photos --detector out/classes.json --out out",
    "predict classify photos --weights out/classes.csv --out out",
    "predict classify photos --engine ray --boxes out/classes.json --out out",
    "benchmark data --annotations odd/data.json --images photos --out odd",
    "benchmark pipeline --boxes odd/pipeline.json --images photos --out odd",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for name in ("photos/a.png", "photos/sub/b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    save_weights(folder / "mine.safetensors", create_model("cmsa_n", "classification", (8, 8), depths=(1, 1, 1)))
    weights = (folder / "mine.safetensors").read_bytes()
    for name in ("weights/model", "run/best", "run/last", "start"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.safetensors").write_bytes(weights)
    (folder / "link.safetensors").symlink_to("mine.safetensors")
    (folder / "mine.yaml").write_text("title: mine\nmodel: {name: cmsa_n, task: classification, input_size: [8, 8]}\n")
    boxes = json.dumps([{"file_name": "a.png", "bbox": [1, 2, 30, 30], "score": 0.5}])
    (folder / "weights.json").write_bytes(weights)
    (folder / "recipe.json").write_bytes((folder / "mine.yaml").read_bytes())
    for name in ("boxes.json", "people.json", "network.json", "network.xml", "network.bin", "network.onnx", "notes.md"):
        (folder / name).write_text(boxes)
    for name in ("out/classes.json", "out/classes.csv", *(f"odd/{n}.json" for n in ("data", "pipeline", "sweep"))):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(boxes)
    (folder / "odd" / "table.json").write_text(boxes)
    class_store(folder / "val.crops", "ab")
    return folder


@pytest.mark.parametrize("line", OVER_INPUTS)
def test_inputs_stay(
    line: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    try:
        assert main(shlex.split(line)) == 2
        told = capsys.readouterr().err.strip()
        assert "is read, and would be overwritten" in told or "two options name it" in told
        assert len(told.splitlines()) == 1
    except SystemExit:  # JSON is not written under another file's name
        assert "must end in .json" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


def test_every_command_that_writes_says_what() -> None:
    by_themselves = {
        "export": "files of other kinds than weights and stores, called after the model",
        "prepare": "a store's folder, which replaces nothing",
    }
    commands = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    writing = {
        name
        for name, parser in commands.choices.items()
        if any(action.dest in OUTPUTS and action.type in WRITTEN for action in parser._actions)
    }
    assert {name for name in writing if not hasattr(COMMANDS[name], "written")} == by_themselves.keys()
    assert {name for name, module in COMMANDS.items() if hasattr(module, "written")} <= writing


def test_a_new_file_may_lie_beside_what_is_read(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    options = build_parser().parse_args(
        ["label", "photos", "--boxes", "boxes.json", "--teacher", "mine.safetensors", "--out", "photos/labels.json"]
    )
    read = list(named_files(options))
    assert {Path("photos"), Path("boxes.json"), Path("mine.safetensors")} <= set(read)
    assert Path("photos/labels.json") not in read


def test_what_a_recipe_reads(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    line = "--for train --images photos --annotations people.json --keypoints boxes.json --out none.crops"
    recipe = load_recipe("digits", ["--data.prepare", json.dumps([line]), "--data.train", "[val.crops,none.crops]"])
    assert {"photos", "people.json", "boxes.json", "val.crops"} <= {str(path) for path in files_of_recipe(recipe)}
