"""A report of a sweep: measured beside published, in one unit, at the cost that was counted."""

import json
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_people import TINY

from cmsa.cli.main import main
from cmsa.experiments import evaluated
from cmsa.experiments.benchmarked import Times, read_benchmark
from cmsa.experiments.figures import plot_sizes, read_curve
from cmsa.experiments.looks import COLOURS, looks_of
from cmsa.experiments.published_rows import published_rows
from cmsa.experiments.report import _lines, _names, write_report
from cmsa.experiments.runs import Run
from cmsa.experiments.sweep import outcome_of
from cmsa.export.layout import deploy
from cmsa.models.cost import cost_of
from cmsa.models.create import create_model
from cmsa.models.fuse import fuse
from cmsa.models.weights import save_weights
from cmsa.training.recipe import Recipe, load_recipe

SIZE = (32, 24)
"""One that there are published rows of."""
MODEL = Recipe().to_dict()["model"]


def scores_of(score: float) -> dict[str, float]:
    first = {"AP": score, "PCK@0.2": 0.75}
    return {f"{store}/{name}": value for store in ("val", "coco-val-32x24") for name, value in first.items()} | {
        "mine-val/AP": score / 2
    }


def make_sweep(folder: Path) -> None:
    cells = []
    for name, scores in (("grouped", (0.5, 0.52)), ("cmsa", (0.6, None))):
        for seed, score in enumerate(scores):
            recipe = Recipe(title="tiny", seed=seed)
            recipe.data.validate = ["stores/coco-val-32x24.crops", "stores/mine-val.crops"]
            recipe.model.input_size = list(SIZE)
            run = folder / f"{name}-{seed}"
            (run / "logs").mkdir(parents=True)
            cells.append({"name": run.name, "values": {"attention": name}, "seed": seed})
            if score is None:
                continue
            training = {"epoch": 2, "recipe": recipe.to_dict(), "scores": scores_of(score)}
            network = create_model("cmsa_n", "pose", SIZE, attention=name, **TINY)
            save_weights(run / "last.safetensors", network, training=training)
            (run / "outcome.json").write_text('{"exit_code": 0}', encoding="utf-8")
            (run / "logs" / "metrics.csv").write_text(
                "step,train/loss,val/AP\n1,2.5,\n1,,0.25\n3,,0.5\n", encoding="utf-8"
            )
    (folder / "sweep.json").write_text(json.dumps({"cells": cells}), encoding="utf-8")


def write_evaluations(sweep: Path) -> None:
    """What ``cmsa evaluate`` leaves in some of the runs."""
    for run, factor in (("grouped-0", 1.0), ("grouped-1", 3.0)):
        rows = [
            {"store": store, "disturbance": kind, "unit": unit, "strength": strength, "scores": {"AP": factor * value}}
            for store in ("people", "others")
            for kind, unit in (("blur", "pixels"), ("noise", "grey levels"))
            for strength, value in ((None, 0.25), (2, 0.125))
        ]
        content = {"score": "AP", "rows": rows}
        (sweep / run / "robustness.json").write_text(json.dumps(content), encoding="utf-8")
    (sweep / "cmsa-0" / "gallery").mkdir()
    Image.fromarray(np.full((5, 9, 3), 77, np.uint8)).save(sweep / "cmsa-0" / "gallery" / "people.png")


def test_the_mean_of_a_cell_s_runs_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sweep(tmp_path)
    write_evaluations(tmp_path)
    drawn = {}
    monkeypatch.setattr(evaluated, "plot_robustness", lambda panels, score, looks: drawn.update(panels) or "<svg/>")
    runs = {"a": [Run(tmp_path / f"grouped-{seed}", {}) for seed in range(2)], "b": [Run(tmp_path / "cmsa-0", {})]}
    section = evaluated.robustness_section("pose", runs, {})
    assert [figure.name for figure in section.figures] == ["pose-robustness"]
    # In percent, as the table and the plots beside it have it.
    assert drawn["blur: pixels"] == {"a": (["none", "2"], [50.0, 25.0])}
    assert section.text.startswith("Of people, the mean")
    missing = evaluated.robustness_section("pose", {"b": runs["b"]}, {})
    assert missing.text.endswith(f"--robustness --out {tmp_path / 'cmsa-0'}")
    (tmp_path / "cmsa-0" / "robustness.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"is no robustness\.json of cmsa evaluate --robustness: it has no 'score'"):
        evaluated.robustness_section("pose", runs, {})


def test_scores_by_resolution_are_one_line_for_each_network() -> None:
    places = [("n", (32, 24), 1.0), ("n", (16, 12), 0.5), ("n", (32, 24), 2.0), ("s", (64, 48), 3.0)]
    assert _lines(places) == {"n": ([16, 32], [0.5, 1.5]), "s": ([64], [3.0])}
    drawn = plot_sizes(_lines(places), {"other": ([32, 64], [40.0, 60.0])}, "AP", looks_of("ns"))
    assert "other" in drawn
    assert "height of the images" in drawn


def test_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_sweep(tmp_path / "sweep")
    network = create_model("cmsa_n", "pose", SIZE, attention="cmsa", **TINY).eval()
    cost = cost_of(network, fuse(network), SIZE)
    # What a benchmark counts is what it exports.
    timed = cost_of(network, deploy(network), SIZE)
    assert timed.with_attention < cost.with_attention
    row = {
        "precision": "float32",
        "parameters": timed.parameters,
        "with_attention": timed.with_attention,
        "latency": 3.5,
        "throughput": 500,
    }
    benchmark = tmp_path / "benchmark.json"
    other = {"precision": "int8", "latency": 1, "throughput": 900}
    rows = [row, row | {"latency": 2.5, "throughput": 800}, row | {"throughput": 400}, row | other]
    benchmark.write_text(json.dumps({"conditions": {"batch": 32}, "rows": rows}))
    times = read_benchmark(benchmark)
    assert (times.batch, times.times) == (32, {(timed.parameters, timed.with_attention): Times(2.5, 1.25)})
    write_evaluations(tmp_path / "sweep")
    out = tmp_path / "report.html"
    wanted = ["--scores", "PCK@0.2", "mine-val/AP"]
    assert main(["report", str(tmp_path / "sweep"), "--benchmark", str(benchmark), "--out", str(out), *wanted]) == 0
    lines = out.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    counted = [f"{cost.parameters / 1e6:.2f}", f"{cost.with_attention / 1e9:.3f}"]
    # The ablation's own table comes first, by the scores that were asked for; every score stands in the last one.
    assert rows[0] == ["attention", "n", "params, M", "MACs, G", "val/PCK@0.2", "mine-val/AP"]
    assert rows[3] == ["cmsa", "1 of 2", *counted, "0.7500", "0.3000"]
    assert [row[1] for row in rows if row[0] == "grouped"] == ["2", "2"]
    (every,) = (row for row in rows if row[0] == "grouped" and len(row) > 6)
    assert every[4:] == ["0.5100 ± 0.0141", "0.7500 ± 0.0000"] * 2 + ["0.2550 ± 0.0071"]
    # Beside what is published stands each store; rivals' numbers have the digits that are printed.
    measured = [row for row in rows if row[1].startswith("measured, ")]
    assert [row[:6] for row in measured if row[0] == "attention cmsa"] == [
        ["attention cmsa", "measured, n = 1", "32x24", *counted, "60.00"],
        ["attention cmsa", "measured, n = 1", "32x24", *counted, "30.00"],
    ]
    # What is of the same data stands together, in a table of its own.
    first_store, other_store = (lines.index(store) for store in ("coco-val-32x24", "mine-val"))
    places = [lines.index("| " + " | ".join(row) + " |") for row in measured]
    published = lines.index(next(line for line in lines if "| published: " in line))
    assert first_store < places[0] < places[1] < published < other_store < places[2] < places[3]
    first = {row[0]: row for row in reversed(rows)}
    assert first["attention grouped"][5] == "51.00 ± 1.41"
    assert (first["ViTPose-B (ViT-B)"][3:5], first["UDP (HRNet-W32)"][1]) == (
        ["86.0", "17.0"],
        "published: CMSA paper",
    )
    assert first["cmsa train pose_coco_cmsa_s_32x24"][-1].startswith("about 0.15 EFLOP")
    assert any(line.startswith(f"Not finished: {tmp_path / 'sweep' / 'cmsa-1'}. ") for line in lines)
    # These are of the same data: none stands apart.
    assert not any("other data" in line for line in lines)
    costs = (tmp_path / "report-pose-costs.svg").read_text(encoding="utf-8")
    # Of the same data and size, so published networks stand in the plot; the latency is of the very network only.
    assert "HRNet-W32 32x24" in costs
    assert "HRNet-W48 128x96" not in costs
    assert "latency of one image, ms" in costs
    assert "time of one image in batches of 32, ms" in costs
    assert any("grey squares are published" in line for line in lines)
    assert all("AP, %" in drawn for drawn in (costs, (tmp_path / "report-pose-curves.svg").read_text(encoding="utf-8")))
    html = out.read_text(encoding="utf-8")
    assert html.count("<svg") == 3
    # Needs no other file, and the picture is the very one.
    picture = (tmp_path / "sweep" / "cmsa-0" / "gallery" / "people.png").read_bytes()
    assert f"data:image/png;base64,{b64encode(picture).decode()}" in html
    assert (tmp_path / "report-pose-gallery-1.png").read_bytes() == picture
    assert "![attention cmsa: people](report-pose-gallery-1.png)" in lines
    drawn = (tmp_path / "report-pose-robustness.svg").read_text(encoding="utf-8")
    assert all(word in drawn for word in ("blur: pixels", "noise: grey levels", "attention grouped"))
    assert read_curve(tmp_path / "sweep" / "cmsa-0", "val/AP") == ([1.0, 3.0], [0.25, 0.5])
    assert read_curve(tmp_path / "sweep" / "cmsa-0", "val/AP", 100.0)[1] == [25.0, 50.0]
    assert read_curve(tmp_path, "val/AP") == ([], [])
    missing = ["report", str(tmp_path / "sweep"), "--out", str(tmp_path / "other.html"), "--scores", "AP", "mae"]
    assert main(missing) == 2
    assert "no run has a score 'mae'; there are AP, PCK@0.2 of val, " in capsys.readouterr().err
    assert not (tmp_path / "other.html").exists()


def write_run(folder: Path, people: int = 6352, **model: list[int]) -> None:
    """What ``cmsa train`` leaves."""
    recipe = Recipe(title="tiny").to_dict()
    recipe["data"]["validate"] = ["stores/coco-val-32x24.crops"]
    recipe["model"] |= {"input_size": list(SIZE)} | model
    folder.mkdir(parents=True)
    counts = {f"{store}/people": people for store in ("val", "coco-val-32x24")}
    training = {"recipe": recipe, "scores": scores_of(0.5) | counts}
    save_weights(folder / "last.safetensors", create_model("cmsa_n", "pose", SIZE, **TINY), training=training)


def read_report(out: Path) -> tuple[list[str], list[list[str]]]:
    """Lines of the Markdown, and rows of its tables."""
    lines = out.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    return lines, [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]


def test_a_title_names_the_first_few_folders() -> None:
    assert _names(list("abc")) == "a, b, c"
    assert _names(list("abcde")) == "a, b, c and 2 more"


def test_what_a_network_enlarges_its_input_to_stands_there(tmp_path: Path) -> None:
    write_run(tmp_path / "native")
    write_run(tmp_path / "enlarged", working_size=[112, 84])
    write_report([tmp_path / "native", tmp_path / "enlarged"], tmp_path / "report.html")
    lines, rows = read_report(tmp_path / "report.html")
    assert lines[0] == "# Report: native, enlarged"
    measured = [row for row in rows if row[1].startswith("measured, ")]
    assert {row[0]: row[2] for row in measured} == {"native": "32x24", "enlarged": "32x24, sees 112x84"}


def test_a_store_of_fewer_people_is_not_the_published_data(tmp_path: Path) -> None:
    for people, told in ((49, "coco-val-32x24 (49 people)"), (6352, "coco-val-32x24 (6,352 people)")):
        write_run(tmp_path / f"of-{people}", people)
        write_report([tmp_path / f"of-{people}"], tmp_path / "report.html")
        lines, _ = read_report(tmp_path / "report.html")
        assert told in lines
        assert any("| measured, n = 1 |" in line for line in lines)
        assert (f"Published of other data: {len(published_rows('pose'))} rows" in lines) == (people == 49)
        assert any("grey squares are published" in line for line in lines) == (people == 6352)


def test_a_cell_has_one_colour_in_all_plots(tmp_path: Path) -> None:
    """Though not every cell is in each of them."""
    make_sweep(tmp_path / "sweep")
    write_evaluations(tmp_path / "sweep")
    (tmp_path / "sweep" / "cmsa-0" / "robustness.json").write_bytes(
        (tmp_path / "sweep" / "grouped-0" / "robustness.json").read_bytes()
    )
    for seed in range(2):
        (tmp_path / "sweep" / f"grouped-{seed}" / "robustness.json").unlink()
    write_report([tmp_path / "sweep"], tmp_path / "report.html")
    grouped, cmsa = COLOURS[:2]
    plots = {name: (tmp_path / f"report-pose-{name}.svg").read_text() for name in ("costs", "curves", "robustness")}
    assert {name: (grouped in plot, cmsa in plot) for name, plot in plots.items()} == {
        "costs": (True, True),
        "curves": (True, True),
        "robustness": (False, True),
    }


def test_a_run_that_was_cut_is_told_from_one_that_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, epoch in (("cut", 1), ("ended", 4), ("begun", None)):
        recipe = Recipe(title="tiny")
        recipe.data.validate = ["stores/mine-val.crops"]
        recipe.model.input_size, recipe.optimizer.epochs = list(SIZE), 4
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "recipe.yaml").write_text("", encoding="utf-8")
        for kept in ("best", "last") if epoch else ():
            # The best weights may well be older than the last ones.
            training = {"epoch": epoch if kept == "last" else 1, "recipe": recipe.to_dict(), "scores": {"val/AP": 0.5}}
            network = create_model("cmsa_n", "pose", SIZE, **TINY)
            save_weights(tmp_path / "runs" / name / f"{kept}.safetensors", network, training=training)
    out = tmp_path / "report.html"
    runs = [str(tmp_path / "runs" / name) for name in ("cut", "ended", "begun")]
    for kept in ("last", "best"):
        assert main(["report", *runs, "--out", str(out), "--weights", kept]) == 0
        lines = out.with_suffix(".md").read_text(encoding="utf-8").splitlines()
        rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
        measured = [row[0] for row in rows if row[1] == "measured, n = 1"]
        assert measured == ["cut (after 1 of 4 epochs)", "ended"]
        assert any(line.startswith(f"Not finished: {tmp_path / 'runs' / 'begun'}. ") for line in lines)
        # No published row is of this data: they come behind what was measured, in a table of their own.
        assert not any("squares" in line for line in lines)
        others = lines.index(f"Published of other data: {len(published_rows('pose'))} rows")
        assert lines.index(next(line for line in lines if "| published: " in line)) > others
    capsys.readouterr()
    assert main(["report", str(tmp_path / "runs"), "--out", str(out)]) == 2
    assert "name those that are in it: begun, cut, ended" in capsys.readouterr().err.replace("\n", " ")


def test_a_row_of_the_paper_is_not_run_by_another_network(tmp_path: Path) -> None:
    for folder, published in (("own", {"AP": 52.3}), ("other", {})):
        recipe = Recipe(title=load_recipe("pose_coco_cmsa_s_32x24").title, published=published)
        recipe.data.validate = ["stores/mine-val.crops"]
        recipe.model.input_size = list(SIZE)
        (tmp_path / folder).mkdir()
        training = {"recipe": recipe.to_dict(), "scores": {"val/AP": 0.5}}
        network = create_model("cmsa_n", "pose", SIZE, **TINY)
        save_weights(tmp_path / folder / "last.safetensors", network, training=training)
        write_report([tmp_path / folder], tmp_path / f"{folder}.html")
    own, other = ((tmp_path / f"{folder}.md").read_text(encoding="utf-8") for folder in ("own", "other"))
    assert "| cmsa train pose_coco_cmsa_s_32x24 |" not in own
    assert "| cmsa train pose_coco_cmsa_s_32x24 |" in other


def test_what_is_no_run_or_benchmark_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sweep.json").write_text('{"cells": [{"name": "a", "values": {}, "seed": 0}]}', encoding="utf-8")
    out = str(tmp_path / "report.html")
    assert main(["report", str(tmp_path), "--out", out]) == 2
    assert "no run is finished yet" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "none"), "--out", out]) == 2
    assert "none: neither a run with last.safetensors nor a sweep" in capsys.readouterr().err
    row = {"precision": "float32", "parameters": 3, "with_attention": 5}
    for content, wrong in (
        ([1], "an entry holds another kind of value"),
        ({"scores": {}}, "it has no 'rows'"),
        ({"rows": [row]}, "it has no 'latency'"),
        ({"rows": [row | {"latency": 2}]}, "it has no 'throughput'"),
        ({"rows": [row | {"latency": 2, "throughput": 0}]}, "an entry holds another kind of value"),
        ({"rows": [row | {"latency": "2 ms"}]}, "an entry holds another kind of value"),
        ({"rows": [], "conditions": {"batch": "many"}}, "an entry holds another kind of value"),
    ):
        (tmp_path / "other.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ValueError, match=rf"other\.json: is no benchmark\.json of cmsa benchmark: {wrong}$"):
            read_benchmark(tmp_path / "other.json")
    (tmp_path / "robustness.json").write_text('{"score": "AP", "rows": []}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"robustness\.json: is no robustness\.json of cmsa evaluate --robustness: an"):
        evaluated.robustness_section("pose", {"a": [Run(tmp_path, {})]}, {})
    (tmp_path / "outcome.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"is no outcome\.json of cmsa sweep: an entry holds another kind of value"):
        outcome_of(tmp_path)


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({}, "it has no 'recipe'"),
        ({"recipe": None}, "an entry holds another kind of value"),
        ({"recipe": "digits"}, "an entry holds another kind of value"),
        ({"recipe": {}}, "it has no 'model'"),
        ({"recipe": {"model": {}}}, "it has no 'task'"),
        ({"recipe": {"model": {"task": "pose"}}}, "it has no 'input_size'"),
        ({"recipe": {"model": {"task": "pose", "input_size": "32x24"}}}, "an entry holds another kind of value"),
        ({"recipe": {"model": MODEL | {"working_size": 64}}}, "an entry holds another kind of value"),
        ({"recipe": {"model": MODEL}}, "it has no 'data'"),
        ({"recipe": Recipe().to_dict() | {"data": {"validate": None}}}, "an entry holds another kind of value"),
        ({"recipe": Recipe().to_dict(), "scores": [1]}, "an entry holds another kind of value"),
        ({"recipe": Recipe().to_dict(), "scores": {"val/AP": "x"}}, "an entry holds another kind of value"),
    ],
)
def test_weights_that_no_training_left_are_named(training, told, tmp_path, capsys):
    save_weights(tmp_path / "last.safetensors", create_model("cmsa_n", "pose", SIZE, **TINY), training=training)
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report.html")]) == 2
    wanted = f"{tmp_path}/last.safetensors: is no file of weights that cmsa train left: {told}"
    assert wanted in capsys.readouterr().err.replace("\n", " ")
