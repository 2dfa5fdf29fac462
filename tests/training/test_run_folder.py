import csv
import json
import shlex
import subprocess

import pytest
from PIL import Image

from cmsa.training.recipe import load_recipe
from cmsa.training.run_folder import (
    changed_entries,
    command_line,
    draw_curves,
    git_commit,
    note_start,
    refuse_other_run,
)


def test_a_start_is_written_down(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/cmsa", "train", "digits", "--title", "näher dran"])
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("digits", ["--optimizer.epochs", "7", "--title", "näher"])
    note_start(recipe, tmp_path / "run", resumed=False)
    note_start(recipe, tmp_path / "run", resumed=True)
    assert load_recipe(str(tmp_path / "run" / "recipe.yaml")).to_dict() == recipe.to_dict()
    lines = [json.loads(line) for line in (tmp_path / "run" / "starts.jsonl").read_text().splitlines()]
    assert [line["resumed"] for line in lines] == [False, True]
    assert lines[0]["command"] == "cmsa train digits --title 'näher dran'"
    assert lines[0]["folder"] == str(tmp_path)
    assert {"cmsa", "python", "torch", "lightning"} <= lines[0]["versions"].keys()


@pytest.mark.parametrize("words", [["a b", "$HOME", "'", "[1, 2]"], ["--x={a: 1}"]])
@pytest.mark.parametrize(
    ("program", "start"),
    [
        ("/venv/bin/cmsa", ["cmsa"]),
        ("/site-packages/cmsa/__main__.py", ["python", "-m", "cmsa"]),
        ("my script.py", ["python", "my script.py"]),
    ],
)
def test_a_command_can_be_pasted_into_a_shell(program, start, words):
    assert shlex.split(command_line([program, *words])) == [*start, *words]


def test_the_commit_of_a_working_copy(tmp_path):
    assert git_commit(tmp_path) is None

    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD").strip()
    assert git_commit(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert git_commit(tmp_path) == f"{commit}+changes"


def test_curves(tmp_path):
    draw_curves(tmp_path / "none.csv", tmp_path / "none.png", "AP")
    assert not (tmp_path / "none.png").exists()
    with (tmp_path / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "train/loss", "val/AP"])
        writer.writeheader()
        writer.writerows([{"step": 1, "train/loss": 2.0}, {"step": 2, "train/loss": 1.0}, {"step": 2, "val/AP": 0.5}])
    draw_curves(tmp_path / "metrics.csv", tmp_path / "both.png", "AP")
    draw_curves(tmp_path / "metrics.csv", tmp_path / "one.png", "mae")
    with Image.open(tmp_path / "both.png") as both, Image.open(tmp_path / "one.png") as one:
        assert both.width == 2 * one.width
        assert len(both.convert("RGB").getcolors(1 << 20)) > 50


def test_a_score_that_repeats_another_is_drawn_once(tmp_path):
    """``val/`` stands for the first validation store, whose scores are there under its own name too."""
    for name, columns in (("once", ["val/AP"]), ("twice", ["val/AP", "zoo/AP"])):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["step", *columns])
            writer.writeheader()
            writer.writerows({"step": step, **dict.fromkeys(columns, 0.1 * step)} for step in (1, 2))
        draw_curves(tmp_path / f"{name}.csv", tmp_path / f"{name}.png", "AP")
    assert (tmp_path / "once.png").read_bytes() == (tmp_path / "twice.png").read_bytes()


def test_a_recipe_that_says_the_same_keeps_its_remarks(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("# mine\ntitle: näher\n", encoding="utf-8")
    recipe = load_recipe(str(file))
    refuse_other_run(recipe, tmp_path)
    note_start(recipe, tmp_path, resumed=False)
    assert file.read_text(encoding="utf-8").startswith("# mine")


@pytest.mark.parametrize("left", ["recipe.yaml", "best.safetensors", "last.safetensors"])
def test_what_another_run_left_is_not_written_over(tmp_path, left):
    (tmp_path / "recipe.yaml").write_text("title: theirs\n")
    (tmp_path / left).touch()
    if left != "recipe.yaml":
        (tmp_path / "starts.jsonl").touch()
    with pytest.raises(FileExistsError, match=f"{left}: is no run's of this recipe, and would be overwritten"):
        refuse_other_run(load_recipe("digits"), tmp_path)
    refuse_other_run(load_recipe(str(tmp_path / "recipe.yaml")), tmp_path)


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew(tmp_path):
    (tmp_path / "recipe.yaml").write_text("title: mine\n")
    (tmp_path / "starts.jsonl").touch()
    refuse_other_run(load_recipe("digits"), tmp_path)


def test_a_store_is_no_folder_for_a_run(tmp_path):
    (tmp_path / "crops.npy").touch()
    with pytest.raises(FileExistsError, match="is a store of crops: choose another folder"):
        refuse_other_run(load_recipe("digits"), tmp_path)


def test_the_folder_of_a_sweep_is_none_for_a_run(tmp_path):
    (tmp_path / "sweep.json").touch()
    with pytest.raises(FileExistsError, match="is the folder of a sweep: choose another one for the run"):
        refuse_other_run(load_recipe("digits"), tmp_path)


def test_a_torn_line_of_starts_costs_itself_only(tmp_path):
    recipe = load_recipe("digits")
    note_start(recipe, tmp_path, precision="32-true")
    with (tmp_path / "starts.jsonl").open("a") as file:
        file.write('{"time": "20')
    note_start(recipe, tmp_path, precision="bf16-true")
    lines = (tmp_path / "starts.jsonl").read_text().splitlines()
    assert [json.loads(lines[place])["precision"] for place in (0, 2)] == ["32-true", "bf16-true"]
    assert len(lines) == 3


def test_another_precision_is_a_change(tmp_path):
    recipe = load_recipe("digits")
    note_start(recipe, tmp_path, precision="32-true")
    assert changed_entries(recipe, tmp_path, precision="32-true") == []
    assert changed_entries(recipe, tmp_path, precision="bf16-true") == ["precision 32-true -> bf16-true"]
    (tmp_path / "starts.jsonl").write_text("[1]\n")
    assert changed_entries(recipe, tmp_path, precision="bf16-true") == []
