import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny_people import SIZE, tiny_recipe, tiny_weights, write_people

from cmsa.cli.arguments import parse_count, parse_size, parse_workers
from cmsa.cli.main import main
from cmsa.data.store import CropStore
from cmsa.guidance.shipped import list_shipped


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People, their stores made by the command line, a recipe and untrained weights."""
    folder = tmp_path_factory.mktemp("people")
    annotations, images = write_people(folder)
    for purpose in ("train", "evaluate"):
        arguments = ["prepare", "--for", purpose, "--size", "16x12", "--out", str(folder / f"{purpose}.crops")]
        assert main([*arguments, "--annotations", str(annotations), "--images", str(images)]) == 0
    stores = [CropStore.open(folder / f"{purpose}.crops") for purpose in ("train", "evaluate")]
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_recipe(*stores).to_dict()), encoding="utf-8")
    tiny_weights(folder / "model.safetensors")
    return folder


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a failing command tells."""
    capsys.readouterr()
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
        assert code == 2
        return capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    told = capsys.readouterr().err.strip()
    assert "\n" not in told
    return told


def test_prepare(folder: Path) -> None:
    training, evaluation = (CropStore.open(folder / f"{name}.crops") for name in ("train", "evaluate"))
    assert len(training) == len(evaluation) == 8
    assert evaluation.spec.size == evaluation.spec.store_size == SIZE
    assert training.spec.size == SIZE
    assert min(training.spec.store_size) > 24


def test_train_then_evaluate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", str(folder / "tiny.yaml"), "--out", str(folder / "run"), "--accelerator", "cpu"]
    assert main([*arguments, "--optimizer.epochs", "1", "--limit-batches", "1", "--seed", "5"]) == 0
    assert str(folder / "run") in capsys.readouterr().out
    weights = str(folder / "run" / "best.safetensors")
    scores = folder / "scores.json"
    assert main(["evaluate", str(folder / "tiny.yaml"), "--weights", weights, "--json", str(scores)]) == 0
    assert json.loads(scores.read_text(encoding="utf-8"))["scores"]["evaluate"]["crops"] == 8
    assert capsys.readouterr().out.endswith(f"wrote {scores}\n")
    assert "already" in fails(arguments, capsys)


def test_flags_reach_the_trainer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(
        "cmsa.training.train.train", lambda recipe, out, **options: told.update(options, out=out, recipe=recipe)
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    flags = [
        "--no-progress",
        "--devices",
        "2",
        "--accelerator",
        "gpu",
        "--precision",
        "bf16-mixed",
        "--max-time",
        "00:01:00:00",
    ]
    more = ["--compile", "--resume", "--limit-batches", "7", "--checkpoint-minutes", "2.5", "--model.name", "cmsa_b"]
    more += ["--sync-batchnorm"]
    assert main(["train", str(folder / "tiny.yaml"), *flags, *more]) == 0
    recipe = told.pop("recipe")
    assert recipe.model.name == "cmsa_b"
    assert told == {
        "out": Path("runs/tiny"),
        "devices": 2,
        "accelerator": "gpu",
        "precision": "bf16-mixed",
        "max_time": "00:01:00:00",
        "compile_network": True,
        "resume": True,
        "limit_batches": 7,
        "checkpoint_minutes": 2.5,
        "sync_batchnorm": True,
        "progress": False,
    }


def test_stores_that_a_recipe_can_make_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cmsa.training.train.train", lambda *_, **__: None)
    assert main(["train", "recipes/digits"]) == 0
    stores = {path.name: CropStore.open(path) for path in (tmp_path / "stores").iterdir()}
    assert {name: len(store) for name, store in stores.items()} == {
        "digits-train.crops": 1438,
        "digits-test.crops": 359,
    }
    assert main(["train", "recipes/digits"]) == 0


def test_predict(folder: Path) -> None:
    arguments = ["predict", "pose", str(folder / "images" / "0.png"), "--box", "5,8,45,60", "--box", "65,8,45,60"]
    assert main([*arguments, "--weights", str(folder / "model.safetensors"), "--out", str(folder / "out")]) == 0
    found = json.loads((folder / "out" / "keypoints.json").read_text(encoding="utf-8"))
    assert [entry["bbox"] for entry in found] == [[5, 8, 45, 60], [65, 8, 45, 60]]


def test_predict_says_what_is_wrong_before_it_starts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["predict", "pose", str(folder / "images"), "--out", str(folder / "none")]
    assert "fps must be a positive number, got -1.0" in fails([*given, "--fps=-1"], capsys)
    assert "greatest number of boxes must be at least 1, got 0" in fails([*given, "--max-people", "0"], capsys)
    assert main([*given, "--detector", "dance"]) == 2
    assert "no detector 'dance'; there are none, motion" in capsys.readouterr().err
    assert not (folder / "none").exists()


def test_models_are_named_in_full_with_score_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for weights in list_shipped():
        place = lines.index(f"  {weights.name}" + ("  (default)" if weights.is_default else ""))
        assert weights.score
        assert lines[place + 1].endswith(f" MB; {weights.score}")
    assert sum(line.endswith("(default)") for line in lines) == len({weights.task for weights in list_shipped()})


def test_models_shows_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "cmsa_n_pose_32x24"]) == 0
    assert capsys.readouterr().out.startswith("# cmsa_n_pose_32x24\n")
    assert "no weights 'cmsa_x' came with cmsa" in fails(["models", "cmsa_x"], capsys)


@pytest.mark.parametrize(
    ("line", "usage", "meant"),
    [
        ("pedict", "cmsa", "predict"),
        ("--versoin", "cmsa", "--version"),
        ("--versoin predict", "cmsa predict", ""),
        ("fly", "cmsa", ""),
        ("predict poes x.png", "cmsa predict", "pose"),
        ("predict pose x.png --treshold 3", "cmsa predict", "--threshold"),
        ("predict pose x.png --treshold=3", "cmsa predict", "--threshold"),
        ("label photos --boxs b.json", "cmsa label", "--boxes"),
        ("models --speed", "cmsa models", ""),
    ],
)
def test_what_was_probably_meant(line: str, usage: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(line.split())
    told = capsys.readouterr().err.strip()
    assert told.startswith(f"usage: {usage} [-h] [OPTION ...] ")
    assert len(told.splitlines()) == 2
    assert told.endswith(f"; did you mean {meant}?") if meant else "did you mean" not in told


@pytest.mark.parametrize(
    ("line", "usage"),
    [
        ("fly", "cmsa [-h] [OPTION ...] COMMAND ..."),
        ("predict pose", "cmsa predict [-h] [OPTION ...] task inputs [inputs ...]"),
        ("prepare", "cmsa prepare [-h] [OPTION ...] --out OUT --for {train,evaluate}"),
        ("models --speed", "cmsa models [-h] [OPTION ...] [name]"),
        ("models \x1b[31m \x1b[32m", "cmsa models [-h] [OPTION ...] [name]"),
    ],
)
def test_a_wrong_line_is_told_what_cannot_be_left_out(
    line: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(line.split())
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"usage: {usage}"
    assert second.startswith(f"{' '.join(usage.split()[: 1 + (line != 'fly')])}: error: ")
    assert "\x1b" not in second


def test_what_was_probably_meant_beside_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(["train", "digits", "--devcies", "2"], capsys).endswith("; did you mean --devices?")
    assert fails(["train", "digits", "--optimizr.epochs", "2"], capsys).endswith("; did you mean --optimizer.epochs?")
    assert "did you mean" not in fails(["train", "digits", "--quite.another"], capsys)


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    released = Path(__file__).parents[1] / "models" / "data" / "released_case.safetensors"
    assert main(["convert", str(released), str(tmp_path / "converted.safetensors")]) == 0
    assert "wrote" in capsys.readouterr().out
    assert (tmp_path / "converted.safetensors").is_file()


def test_errors_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(folder / "tiny.yaml")
    assert "no recipe 'none'" in fails(["train", "none"], capsys)
    assert "--optimizr.epochs" in fails(["train", recipe, "--optimizr.epochs", "3"], capsys)
    assert "optimizer.epochs" in fails(["train", recipe, "--optimizer.epochs", "many"], capsys)
    assert "there is no crop store" in fails(["train", recipe, "--data.train", "[nowhere.crops]"], capsys)
    assert "--devices" in fails(["train", recipe, "--devices", "some"], capsys)
    assert "no weights 'nothing'" in fails(["evaluate", recipe, "--weights", "nothing"], capsys)
    prepare = ["prepare", "--for", "train", "--images", "none", "--out", str(folder / "x.crops")]
    assert "cannot be read" in fails([*prepare, "--annotations", str(folder / "none.json")], capsys)
    assert "'32' is not HEIGHTxWIDTH" in fails([*prepare, "--annotations", "a", "--size", "32"], capsys)
    assert "unrecognized arguments: --speed" in fails(["models", "--speed"], capsys)
    assert "is not x,y,width,height" in fails(["predict", "pose", "a.png", "--box", "1,2,3"], capsys)


def test_an_interrupted_command_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cmsa.training.train.train", interrupted)
    assert main(["train", str(folder / "tiny.yaml")]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("onnxscript", "cmsa[export]"),
        ("gradio.themes", "cmsa[app]"),
        ("fastapi", "cmsa[serve]"),
        ("torch", "cmsa brings all that the commands need"),
        ("yaml", "cmsa brings all that the commands need"),
        ("PIL", "pillow"),
    ],
)
def test_a_missing_package_is_told_with_its_pip_line(
    name: str, line: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("cmsa.training.train.train", missing)
    told = fails(["train", str(folder / "tiny.yaml")], capsys)
    assert told.replace("'cmsa[", "cmsa[").replace("]'", "]").endswith(f"No module named {name!r}: pip install {line}")


def test_traceback_on_demand(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        main(["--traceback", "train", "none"])


@pytest.mark.parametrize(("text", "size"), [("32x24", (32, 24)), ("64X48", (64, 48))])
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("parse", "text", "told"),
    [
        (parse_count, "0", "'0' is not a whole number of 1 to"),
        (parse_workers, "-1", "'-1' is not a whole number of 0 to"),
        (parse_workers, "1025", "'1025' is not a whole number of 0 to 1,024"),
        (parse_workers, "a", "'a' is not a whole number of 0 to"),
    ],
)
def test_a_range_is_told_as_it_is(parse: Callable[[str], int], text: str, told: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=told):
        parse(text)
    assert parse("7") == 7
    assert parse_workers("0") == 0


def test_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmsa.training.train.train", lambda *_, **__: None)
    before = torch.get_num_threads()
    assert main(["train", str(folder / "tiny.yaml"), "--threads", "1"]) == 0
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


def test_ctrl_c_while_the_library_is_looked_up(capsys, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("argparse.ArgumentParser.parse_known_args", interrupt)
    assert main(["predict", "pose", "photo.jpg"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_without_a_command_it_is_said_what_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().err.endswith("are required: COMMAND; cmsa --help lists them\n")
