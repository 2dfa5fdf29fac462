import math
import re
from pathlib import Path

import numpy as np
import pytest
from labelled_store import labelled_store
from PIL import Image
from tiny_people import TINY, people_store, tiny_recipe

from cmsa.data.crops import CropSpec
from cmsa.data.store import CropStore
from cmsa.evaluation.evaluate import evaluate_recipe
from cmsa.evaluation.gallery import ranked
from cmsa.guidance.errors import error_text
from cmsa.models.create import create_model
from cmsa.models.weights import save_weights
from cmsa.training.recipe import DataRecipe, ModelRecipe, Recipe


def test_best_median_and_worst() -> None:
    values = [0.5, math.nan, 0.9, 0.1, 0.3, 0.7, 0.2]
    assert ranked(values, large_is_good=True, count=1) == {"best": [2], "median": [0], "worst": [3]}
    assert ranked(values, large_is_good=False) == {"best": [3, 6], "median": [4, 0], "worst": [2, 5]}
    assert ranked([0.3], large_is_good=True) == {"best": [0], "median": [0], "worst": [0]}
    assert ranked([math.nan], large_is_good=True) == {"best": [], "median": [], "worst": []}


def test_a_picture_or_a_folder(store: CropStore, folder: Path) -> None:
    recipe, weights = tiny_recipe(store, store), str(folder / "model.safetensors")
    evaluate_recipe(recipe, weights, gallery=folder / "cases.png")
    evaluate_recipe(recipe, weights, gallery=folder / "cases")
    with Image.open(folder / "cases.png") as one, Image.open(folder / "cases" / "val.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
        # Three rows of two pairs: 8 people.
        assert one.height == 978
        assert one.width > 4 * 180
    recipe.data.validate.append(str(people_store(folder, "more.crops", training=False).folder))
    with pytest.raises(ValueError, match=r"cases\.png: is one file for the galleries of 2 stores"):
        evaluate_recipe(recipe, weights, gallery=folder / "cases.png")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("g.gif", r"g\.gif: a gallery is a picture, which ends in \.png, \.jpg, \.jpeg, or a folder"),
        ("v1.2", r"v1\.2: a gallery is a picture"),
        ("model.safetensors/g.png", r"model\.safetensors/g\.png: cannot be written"),
        ("model.safetensors/g", r"model\.safetensors/g/val\.png: cannot be written"),
    ],
)
def test_what_cannot_be_a_gallery_is_told_before_the_work(
    place: str, told: str, store: CropStore, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(folder.rglob("*"))
    recipe, weights = tiny_recipe(store, store), str(folder / "model.safetensors")
    with pytest.raises((ValueError, OSError)) as caught:
        evaluate_recipe(recipe, weights, gallery=folder / place)
    assert re.search(told, error_text(caught.value))
    assert capsys.readouterr().out == ""
    assert set(folder.rglob("*")) == before


def test_a_folder_may_have_any_name(store: CropStore, folder: Path) -> None:
    for name in ("v1.2", "cases.png"):
        (folder / "there" / name).mkdir(parents=True)
        evaluate_recipe(tiny_recipe(store, store), str(folder / "model.safetensors"), gallery=folder / "there" / name)
        assert (folder / "there" / name / "val.png").is_file()


@pytest.mark.parametrize("task", ["head_pose", "classification"])
def test_other_tasks_have_galleries(task: str, tmp_path: Path) -> None:
    labelled_store(tmp_path / "val.crops", task, CropSpec.for_evaluation((16, 16), padding=1.0))
    options = TINY | ({"num_classes": 3} if task == "classification" else {})
    save_weights(tmp_path / "model.safetensors", create_model("cmsa_n", task, (16, 16), **options))
    recipe = Recipe(
        model=ModelRecipe(name="cmsa_n", task=task, input_size=[16, 16]),
        data=DataRecipe(validate=[str(tmp_path / "val.crops")]),
    )
    evaluate_recipe(recipe, str(tmp_path / "model.safetensors"), gallery=tmp_path / "cases.png")
    with Image.open(tmp_path / "cases.png") as picture:
        assert picture.height > 600
