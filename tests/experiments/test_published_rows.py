"""What is printed in papers stands in one place, and is read as printed."""

import csv
from pathlib import Path

import pytest

from cmsa.experiments.published_rows import FOLDER, PAPER, published_rows, rows_of_recipe, shipped_recipes


def found(task, model, data, size):
    (row,) = (row for row in published_rows(task) if (row.model, row.data, row.input_size) == (model, data, size))
    return row


def test_rows_of_files_and_of_recipes():
    row = found("pose", "UDP (HRNet-W32)", "coco-val2017", (32, 24))
    assert (row.parameters, row.macs, row.scores["AP"], row.scores["AR"], row.source) == (28.6, 1.9, 51.9, 61.4, PAPER)
    row = found("pose", "CMSA-L", "coco-val2017", (32, 24))
    assert (row.parameters, row.macs, row.scores["AP"], row.scores["APL"]) == (7.3, 1.1, 56.4, 58.2)
    assert found("pose", "CMSA-L (step schedule)", "coco-val2017", (64, 48)).scores["AP"] == 65.9
    assert found("pose", "CMSA-L, attention cascade", "coco-val2017", (32, 24)).scores == {"AP": 53.5}
    row = found("head_pose", "CMSA-S", "biwi", (32, 32))
    assert (row.parameters, row.macs, row.scores) == (4.0, 0.9, {"yaw": 4.81, "pitch": 4.85, "roll": 3.24, "mae": 4.33})
    assert found("head_pose", "6DRepNet", "aflw2000", (224, 224)).scores["mae"] == 3.61
    assert found("classification", "ResNet-50", "cifar100", None).scores == {"top1": 82.9}
    assert found("classification", "CMSA-L", "cifar10", (32, 32)).scores == {"top1": 98.0}
    assert published_rows("another") == []


def test_a_store_is_of_what_its_name_begins_with():
    coco = found("pose", "CMSA-L", "coco-val2017", (32, 24))
    stores = ("coco-val-32x24", "coco-val2017-32x24", "coco-mini-val-32x24", "coco-validation")
    assert [coco.is_of(store) for store in stores] == [True, True, False, False]
    cifar = found("classification", "CMSA-L", "cifar10", (32, 32))
    assert [cifar.is_of(store) for store in ("cifar10", "cifar10-test", "cifar100-test")] == [True, True, False]


def test_a_part_of_the_published_data_is_other_data():
    coco = found("pose", "CMSA-L", "coco-val2017", (32, 24))
    assert [coco.is_of("coco-val-32x24", people) for people in (None, 6352, 49)] == [True, True, False]
    faces = found("head_pose", "CMSA-S", "aflw2000", (32, 32))
    assert [faces.is_of("aflw2000-32x32", count) for count in (2000, 1969, 30)] == [True, True, False]
    # How many faces a detector finds is told by nobody.
    assert found("head_pose", "CMSA-S", "biwi", (32, 32)).is_of("biwi-32x32", 13_000)


@pytest.mark.parametrize("row", ["pose", "head_pose", "classification"])
def test_runs_of_the_paper_s_recipes_stand_beside_its_rows(row):
    """The stores that its recipes name are of the data that its rows are of."""
    recipes = [
        recipe for name, recipe in shipped_recipes() if recipe["model"]["task"] == row and "Table" in recipe["title"]
    ]
    assert recipes or row == "classification"
    for recipe in recipes:
        stores = [Path(store).stem for store in recipe["data"]["validate"]]
        for published in rows_of_recipe(recipe):
            assert any(published.is_of(store) for store in stores), (recipe["title"], stores)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.csv")), ids=lambda file: file.stem)
def test_files_are_marked_and_leave_to_recipes_what_is_theirs(file):
    assert file.read_text(encoding="utf-8").startswith("# published: ")
    rows = published_rows(file.stem)
    assert all(row.scores and row.source for row in rows)
    places = [(row.model, row.data, row.input_size) for row in rows]
    assert len(places) == len(set(places))


@pytest.mark.shared
def test_numbers_are_the_paper_s(shared):
    """Every row of the reference files, CMSA's own too."""

    def reference(name):
        with (shared / "reference" / name).open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    pose = {(row.input_size, row.scores["AP"], row.scores.get("AR"), row.parameters) for row in published_rows("pose")}
    for row in reference("pose_coco_val2017.csv"):
        size = (int(row["input_h"]), int(row["input_w"]))
        assert (size, float(row["AP"]), float(row["AR"]), float(row["params_m"])) in pose, row
    heads = {(row.data, row.input_size, row.parameters, row.scores["mae"]) for row in published_rows("head_pose")}
    for row in reference("head_pose.csv"):
        size = (int(row["input_h"]), int(row["input_w"]))
        for data in ("biwi", "aflw2000"):
            assert (data, size, float(row["params_m"]), float(row[f"{data}_mae"])) in heads, row
    classes = {(row.data, row.parameters, row.scores["top1"]) for row in published_rows("classification")}
    for row in reference("cifar.csv"):
        assert (row["dataset"], float(row["params_m"]), float(row["top1"])) in classes, row
