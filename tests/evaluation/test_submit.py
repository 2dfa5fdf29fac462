import json
from pathlib import Path

import numpy as np
import pytest
from tiny_people import people_store, tiny_recipe, tiny_weights, write_people

from cmsa.cli.main import main
from cmsa.evaluation.evaluate import evaluate_recipe
from cmsa.evaluation.submit import submit
from cmsa.metrics.keypoint_truth import KeypointTruth
from cmsa.metrics.oks import evaluate_keypoints


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_people(tmp_path)
    boxes = [
        {"image_id": picture + 1, "category_id": 1, "bbox": [5 + 60 * person, 8, 45, 60], "score": 0.5 + 0.1 * picture}
        for picture in range(4)
        for person in range(2)
    ]
    (tmp_path / "found.json").write_text(json.dumps(boxes), encoding="utf-8")
    tiny_weights(tmp_path / "model.safetensors")
    return tmp_path


def test_what_is_handed_in_scores_as_the_evaluation(folder: Path) -> None:
    store = people_store(folder, "found.crops", training=False, detections=folder / "found.json")
    recipe, weights = tiny_recipe(store, store), str(folder / "model.safetensors")
    assert submit(recipe, weights, folder / "results.json", flip_test=True) == 8
    entries = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert {tuple(entry) for entry in entries} == {("image_id", "category_id", "keypoints", "score")}
    assert {entry["category_id"] for entry in entries} == {1}
    assert all(np.array(entry["keypoints"]).shape == (51,) for entry in entries)
    scored = evaluate_keypoints(KeypointTruth.of_store(store), entries)
    plain = evaluate_recipe(recipe, weights, flip_test=True)["found"]
    assert scored["AP"] == plain["AP"]


def test_a_truth_is_not_needed(folder: Path) -> None:
    path = folder / "annotations.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["annotations"]
    path.write_text(json.dumps(content), encoding="utf-8")
    store = people_store(folder, "test-dev.crops", training=False, detections=folder / "found.json")
    assert submit(tiny_recipe(store, store), str(folder / "model.safetensors"), folder / "results.json") == 8


def test_true_boxes_and_other_tasks_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = people_store(folder, "val.crops", training=False)
    recipe, weights = tiny_recipe(store, store), str(folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"val\.crops: its boxes are the annotated ones"):
        submit(recipe, weights, folder / "results.json")
    recipe.data.validate.append(str(people_store(folder, "more.crops", training=False).folder))
    with pytest.raises(ValueError, match=r"names 2"):
        submit(recipe, weights, folder / "results.json")
    assert main(["evaluate", "digits", "--weights", "none", "--submit", "a.json", "--json", "b.json"]) != 0
    assert "--submit scores nothing, so there is nothing for --json" in capsys.readouterr().err
