"""What is read from runs, and the numbers over the seeds."""

import csv
import json
import math
import shutil
from io import StringIO
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console
from tiny_people import SIZE, TINY

from cmsa.experiments import runs
from cmsa.experiments.runs import Run, read_runs
from cmsa.experiments.table import (
    Row,
    Spread,
    check_scores,
    rows_of,
    score_names,
    scores_to_come,
    show_table,
    shown_scores,
    write_table,
)
from cmsa.models.cost import cost_of
from cmsa.models.create import create_model
from cmsa.models.description import Description
from cmsa.models.fuse import fuse
from cmsa.models.weights import read_description, save_weights
from cmsa.training.recipe import Recipe

SCORES = {
    "a": [{"val/AP": 0.1, "val/AR": 0.5, "one/AP": 0.1, "two/AP": 0.7}, {"val/AP": 0.3, "one/AP": 0.3, "two/AP": 0.9}],
    "b": [{"val/AP": 0.25, "val/APL": -1.0, "other/AP": 0.25, "two/AP": 0.5}],
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cells of two seeds, one of which is not finished."""
    folder = tmp_path_factory.mktemp("sweep")
    cells = []
    for name, first in (("a", "one"), ("b", "other")):
        for seed in range(2):
            recipe = Recipe(seed=seed)
            recipe.optimizer.epochs = 3
            recipe.data.validate = [f"stores/{first}.crops", "stores/two.crops"]
            run = folder / f"{name}-{seed}"
            run.mkdir()
            cells.append({"name": run.name, "values": {"codec": name}, "seed": seed})
            scores = SCORES[name][seed : seed + 1]
            training = {"epoch": 3, "recipe": recipe.to_dict(), "scores": (scores or [{"val/AP": 0.9}])[0]}
            save_weights(run / "last.safetensors", create_model("cmsa_n", "pose", SIZE, **TINY), training=training)
            outcome = {"exit_code": 0 if scores else 143, "seconds": 60.5}
            (run / "outcome.json").write_text(json.dumps(outcome), encoding="utf-8")
    (folder / "sweep.json").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return folder


@pytest.fixture
def rows(sweep: Path) -> list[Row]:
    return rows_of(read_runs([sweep]))


def test_mean_deviation_and_number(rows: list[Row]) -> None:
    assert [(row.values, len(row.runs), len(row.done)) for row in rows] == [
        ({"codec": "a"}, 2, 2),
        ({"codec": "b"}, 2, 1),
    ]
    spread = rows[0].spread("val/AP")
    assert spread.mean == pytest.approx(0.2)
    assert spread.deviation == pytest.approx(math.sqrt(0.02))
    assert str(spread) == "0.2000 ± 0.1414"
    assert str(rows[1].spread("val/AP")) == "0.2500"
    assert str(Spread((359.0, 359.0))) == "359"
    assert str(Spread((2.5, 2.5))) == "2.5000"
    assert str(Spread((0.5, 0.5))) == "0.5000 ± 0.0000"
    # A score that one run lacks is that of the others.
    assert rows[0].spread("val/AR") == Spread((0.5,))
    assert str(rows[1].spread("val/AR")) == str(rows[1].spread("val/APL")) == "-"
    run = rows[0].runs[1]
    assert (run.seed, run.epoch, run.seconds, run.weights) == (1, 3, 60.5, run.folder / "last.safetensors")


def counted(rows: list[Row]) -> list[str]:
    network = create_model("cmsa_n", "pose", SIZE, **TINY)
    cost = cost_of(network, fuse(network), SIZE)
    assert [row.cost for row in rows] == [cost, cost]
    return [f"{cost.parameters / 1e6:.2f}", f"{cost.with_attention / 1e9:.3f}"]


def test_a_table_shows_what_all_cells_have(rows: list[Row]) -> None:
    # one and other are the first stores, which val stands for.
    assert shown_scores(rows) == ["val/AP", "two/AP"]
    assert shown_scores(rows, ["AR", "one/AP"]) == ["val/AR", "one/AP"]
    # Of several tasks in a report each shows what it has of them.
    assert shown_scores(rows, ["mae", "AR"]) == ["val/AR"]
    assert shown_scores(rows, ["mae"]) == shown_scores(rows)
    out = StringIO()
    Console(file=out, width=100).print(show_table(rows, ["val/AP"], f"codecs, {'as' * 30}"))
    assert out.getvalue().startswith(f"codecs, {'as' * 30}\n")  # in one line, though the table is narrower
    lines = [line.split() for line in out.getvalue().replace("│", " ").replace("┃", " ").splitlines()]
    assert ["params", "MACs", "val/"] in lines
    assert ["codec", "n", "M", "G", "AP"] in lines
    assert ["a", "2", *counted(rows), "0.2000", "±", "0.1414"] in lines
    assert ["b", "1", "of", "2", *counted(rows), "0.2500"] in lines


def test_a_score_that_there_is_not_is_told_with_those_that_there_are(rows: list[Row]) -> None:
    names = score_names(rows)
    check_scores(["AP", "two/AP"], names)
    for name, told in (
        ("mae", "AP, AR, APL of val, one, two, other"),
        ("two/AR", "did you mean two/AP"),
        ("ap", "did you mean AP"),
    ):
        with pytest.raises(ValueError, match=f"no run has a score '{name}'; there are .*{told}"):
            check_scores([name], names)


def test_the_scores_of_trainings_to_come() -> None:
    recipes = [Recipe(), Recipe()]
    recipes[0].data.validate = ["stores/one.crops", "stores/two.crops"]
    recipes[1].model.task = "head_pose"
    recipes[1].data.validate = ["a/faces.crops", "b/faces.crops"]
    names = scores_to_come(recipes)
    assert names is not None
    assert {"val/AP", "two/PCK@0.2", "a/faces/mae", "val/mae_yaw_60_up"} <= set(names)
    assert not {"one/mae", "faces/mae", "b/faces/AP"} & set(names)
    assert scores_to_come([Recipe()]) == []


def test_files_hold_every_score(rows: list[Row], tmp_path: Path) -> None:
    write_table(rows, ["val/AP"], "codecs, n runs", tmp_path)
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[4]) == ("codecs, n runs", "| codec | n | params, M | MACs, G | val/AP |")
    assert lines[6] == f"| a | 2 | {' | '.join(counted(rows))} | 0.2000 ± 0.1414 |"
    first, second = csv.DictReader((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines())
    assert (first["codec"], first["planned"], first["n"], first["two/AP mean"]) == ("a", "2", "2", "0.8")
    assert (int(first["parameters"]), int(first["with_attention"])) == (
        rows[0].cost.parameters,
        rows[0].cost.with_attention,
    )
    assert float(first["val/AP sd"]) == pytest.approx(math.sqrt(0.02))
    assert (second["val/AP mean"], second["val/AP sd"], second["one/AP mean"]) == ("0.25", "", "")
    content = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert content[1]["multiply_adds"] == rows[1].cost.multiply_adds
    assert content[1]["scores"]["val/AP"] == {"mean": 0.25, "sd": None, "n": 1}
    assert [run["scores"] for run in content[1]["runs"]] == [SCORES["b"][0], None]


def test_a_run_by_itself(sweep: Path, tmp_path: Path) -> None:
    (run,) = read_runs([sweep / "a-0"])
    assert (run.values, run.seed, run.scores) == ({"run": "a-0"}, 0, SCORES["a"][0])
    with pytest.raises(ValueError, match=r"neither a run with best\.safetensors nor a sweep"):
        read_runs([sweep / "a-0"], "best")
    assert read_runs([sweep], "best") == [
        Run(sweep / name, {"codec": name[0]}, int(name[2])) for name in ("a-0", "a-1", "b-0", "b-1")
    ]
    (tmp_path / "sweep.json").write_text('{"cells": [{"name": 3}]}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"sweep\.json: is no sweep\.json of cmsa sweep: it has no 'values'"):
        read_runs([tmp_path])


def test_runs_by_themselves_that_differ_in_the_seed_only_are_one_cell(tmp_path: Path) -> None:
    for name, seed, codec, epoch in (
        ("a-0", 0, "udp", 3),
        ("b", 0, "dark", 3),
        ("a-1", 1, "udp", 3),
        ("a-2", 2, "udp", 1),
    ):
        recipe = Recipe(seed=seed, codec=codec)
        recipe.optimizer.epochs = 3
        training = {"epoch": epoch, "recipe": recipe.to_dict(), "scores": {"val/AP": 0.5 + seed}}
        (tmp_path / name).mkdir()
        save_weights(
            tmp_path / name / "last.safetensors", create_model("cmsa_n", "pose", SIZE, **TINY), training=training
        )
    rows = rows_of(read_runs([tmp_path / name for name in ("a-0", "b", "a-1", "a-2")]))
    assert [(row.values["run"], row.spread("val/AP").values) for row in rows] == [
        ("a-{0,1}", (0.5, 1.5)),
        ("b", (0.5,)),
        ("a-2 (after 1 of 3 epochs)", (2.5,)),
    ]
    # A seed that was trained twice is no second sample.
    shutil.copytree(tmp_path / "a-0", tmp_path / "again")
    rows = rows_of(read_runs([tmp_path / "a-0", tmp_path / "again"]))
    assert [row.values["run"] for row in rows] == ["a-0", "again"]


@pytest.mark.parametrize(("kept", "read"), [("last", ["last"]), ("best", ["best", "last"])])
def test_a_file_of_weights_is_read_once(
    kept: Literal["last", "best"], read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[Path] = []

    def noted(path: Path) -> Description:
        files.append(path)
        return read_description(path)

    monkeypatch.setattr(runs, "read_description", noted)
    training = {"epoch": 1, "recipe": Recipe().to_dict()}
    for name in ("last", "best"):
        save_weights(tmp_path / f"{name}.safetensors", create_model("cmsa_n", "pose", SIZE, **TINY), training=training)
    (run,) = read_runs([tmp_path], kept)
    assert run.values["run"].startswith(f"{tmp_path.name} (after 1 of ")
    assert files == [tmp_path / f"{name}.safetensors" for name in read]


def named_run(folder: Path, seed: int, codec: str = "udp") -> Run:
    recipe = Recipe(seed=seed, codec=codec).to_dict()
    return Run(folder, {"run": folder.name}, seed, folder / "last.safetensors", recipe, {"val/AP": 0.5})


def test_runs_of_one_name_are_one_cell_only_if_they_differ_in_the_seed_alone() -> None:
    first, second, other = (Path(name, "mine") for name in ("one", "two", "three"))
    rows = rows_of([named_run(first, 0), named_run(second, 1), named_run(other, 0, codec="dark")])
    assert [(row.values, len(row.runs)) for row in rows] == [
        ({"run": "mine", "folder": "one"}, 2),
        ({"run": "mine", "folder": "three"}, 1),
    ]


def test_sweeps_of_other_recipes_are_other_cells_and_what_is_not_finished_belongs_to_its_sweep() -> None:
    cells = [Run(Path("a", "seed=0"), {}, 0, Path("w"), Recipe().to_dict(), {}), Run(Path("a", "seed=1"), {}, 1)]
    more = [Run(Path("b", "seed=0"), {}, 0, Path("w"), Recipe(codec="dark").to_dict(), {})]
    assert [(row.values, len(row.runs)) for row in rows_of(cells + more)] == [
        ({"folder": "a"}, 2),
        ({"folder": "b"}, 1),
    ]


def test_a_run_that_is_named_twice_counts_once(sweep: Path) -> None:
    assert read_runs([sweep, sweep / ".." / sweep.name]) == read_runs([sweep])
    assert len(read_runs([sweep, sweep / "a-0"])) == 4
