"""``cmsa sweep`` from the recipe to the table, with true trainings in processes of their own."""

import csv
from pathlib import Path

import pytest
import yaml
from tiny_people import people_store, tiny_recipe, write_people

from cmsa.cli.main import main


@pytest.mark.slow
def test_a_sweep_from_recipe_to_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_people(tmp_path)
    stores = [people_store(tmp_path, f"{name}.crops", training=name == "train") for name in ("train", "val")]
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "out"
    recipe.write_text(yaml.safe_dump(tiny_recipe(*stores, epochs=1).to_dict()), encoding="utf-8")
    # There is no attention of the third name.
    grid = ["--set", "model.options.attention=grouped,cmsa,none", "--seeds", "0"]
    words = ["sweep", str(recipe), "--out", str(out), *grid, "--accelerator", "cpu", "--parallel", "3"]
    assert main(words) == 1
    told = capsys.readouterr().out
    assert "attention=none,seed=0: FAILED, exit code 2: cmsa train: " in told
    assert "attention=none,seed=0 failed; the same command tries it again" in told
    files = {path.name for path in (out / "attention=cmsa,seed=0").iterdir()}
    assert files >= {"recipe.yaml", "train.log", "outcome.json", "last.ckpt", "last.safetensors", "best.safetensors"}
    rows = list(csv.DictReader((out / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["attention"], row["n"]) for row in rows] == [("grouped", "1"), ("cmsa", "1"), ("none", "0")]
    assert all(float(row["val/AP mean"]) >= 0 for row in rows[:2])
    (out / "table.csv").unlink()
    assert main(["sweep", "--table", str(out)]) == 0
    assert list(csv.DictReader((out / "table.csv").read_text(encoding="utf-8").splitlines())) == rows
    assert main(["sweep", "--table", str(out), "--scores", "AP", "AP60"]) == 2
    assert "no run has a score 'AP60'; there are AP, AP50, " in capsys.readouterr().err


def test_what_is_wrong_is_told_before_anything_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    overrides = ["--out", str(out), "--data.prepare", "[]"]
    for words, told in (
        (["--set", "optimizr.epochs=1,2"], "optimizr.epochs"),
        (["--set", "optimizer.epochs=0,1"], "optimizer.epochs must be at least 1, got 0"),
        (["--set", "loss=mse,cross_entropy"], "loss: not of the task classification"),
        (["--set", "sigma=null,2", "label_smoothing=0,0.1"], "sigma: not of the task classification"),
        (["--set", "optimizer.epochs"], "is not ENTRY=VALUE,VALUE"),
        (["--seeds", "1", "1"], "seed=1: two cells of this name"),
        (["--set", "optimizer.epochs=1,2", "--optimizer.epochs", "3"], "--optimizer.epochs: is set for all trainings"),
        (["--seeds", "1", "--seed=5"], "--seed: is set for all trainings, and by the grid"),
        (["--set", "optimizer.learning_rate=0.002,1e-3,2e-3"], "learning_rate=0.002 and learning_rate=2e-3 are one "),
        (["--set", "optimizer.step_epochs=[3,4],[3, 4]"], "step_epochs=3-4: two cells of this name"),
        (["--set", "model.options={a: 1, b: 2},{b: 2, a: 1}"], "options=a-1-b-2 and options=b-2-a-1 are one training"),
        (["--scores", "top1", "tpo1"], "no run has a score 'tpo1'; there are top1, top5, nll, ece, images of val, "),
        (["--scores", "digits/top1"], "of val, digits-test; did you mean digits-test/top1?"),
        (["--scores", "top1", "--data.validate", "[]"], "no run has a score 'top1'; there are none"),
        (["--data.train", "[nowhere.crops]"], "nowhere.crops: there is no crop store; prepare one first"),
        (["--set", "data.train=[a.crops],[b.crops]"], "a.crops: there is no crop store; prepare one first"),
        (["--table"], "neither a run with last.safetensors nor a sweep"),
        (["--table", "--seeds", "1"], "--table trains nothing"),
    ):
        assert main(["sweep", "digits", *([] if "--table" in words else overrides), *words]) == 2
        assert told in capsys.readouterr().err
    assert not out.exists()
