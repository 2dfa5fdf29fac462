import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_people import SIZE, tiny_recipe

from cmsa.cli.main import main
from cmsa.data.disturbances import disturbances
from cmsa.data.store import CropStore
from cmsa.evaluation import robustness as evaluation
from cmsa.evaluation.evaluate import evaluate_recipe
from cmsa.evaluation.opened import Evaluation
from cmsa.evaluation.robustness import robustness
from cmsa.metrics.table import Scores


def test_undisturbed_is_the_plain_evaluation(
    store: CropStore, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, weights = tiny_recipe(store, store), str(folder / "model.safetensors")
    rows = robustness(recipe, weights, out=folder / "out", flip_test=True)
    plain = evaluate_recipe(recipe, weights, flip_test=True)["val"]
    kinds = disturbances(SIZE[0])
    assert [(row.disturbance, row.strength) for row in rows] == [
        (kind.name, strength) for kind in kinds for strength in (None, *kind.strengths)
    ]
    assert all(row.scores == plain for row in rows if row.strength is None)
    assert any(row.scores != plain for row in rows)
    assert rows == robustness(recipe, weights, flip_test=True)
    kept = json.loads((folder / "out" / "robustness.json").read_text(encoding="utf-8"))
    assert (kept["score"], kept["seed"], len(kept["rows"])) == ("AP", recipe.seed, len(rows))
    assert kept["rows"][1]["scores"]["AP"] == rows[1].scores["AP"]
    with Image.open(folder / "out" / "robustness.png") as picture:
        assert picture.width > picture.height > 300
    shown = capsys.readouterr().out
    assert "AP by JPEG: quality" in shown
    assert "none" in shown
    # In one line, though the table below it is narrower.
    assert "AP by resolution: height in pixels before it was enlarged again\n" in shown


def test_what_is_known_of_undisturbed_crops_is_not_scored_again(
    store: CropStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[CropStore] = []
    evaluate = evaluation.evaluate_opened

    def noted(opened: Evaluation, given: CropStore, **options: Any) -> Scores:
        scored.append(given)
        return evaluate(opened, given, **options)

    monkeypatch.setattr(evaluation, "evaluate_opened", noted)
    recipe, weights = tiny_recipe(store, store), str(folder / "model.safetensors")
    plain = evaluate_recipe(recipe, weights)
    rows = robustness(recipe, weights, plain=plain)
    assert rows[0].scores == plain["val"]
    assert len(scored) == sum(len(kind.strengths) for kind in disturbances(SIZE[0]))


def test_a_folder_for_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "digits", "--weights", "none.safetensors", "--out", "out"]) != 0
    assert "--robustness, which was not asked for" in capsys.readouterr().err
