"""From an annotation file of any keypoints to weights, scores, results, a drawing and an exported file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_people import SIZE, TINY
from tiny_points import COW, LSP, write_points

from cmsa.cli.main import main
from cmsa.data.store import CropStore
from cmsa.inference.predictor import Predictor
from cmsa.metrics.keypoint_truth import KeypointTruth
from cmsa.metrics.oks import METRICS, coco_results, evaluate_keypoints
from cmsa.models.create import create_model, load_weights
from cmsa.models.description import Description
from cmsa.models.weights import save_weights
from cmsa.tasks import task_of


def train_on(folder: Path, category: dict[str, Any], **settings: Any) -> Path:
    """Stores, a recipe and the weights of one step of training."""
    annotations, images = write_points(folder, category)
    for purpose in ("train", "evaluate"):
        files = ["--annotations", str(annotations), "--images", str(images), "--out", str(folder / f"{purpose}.crops")]
        assert main(["prepare", "--for", purpose, "--size", f"{SIZE[0]}x{SIZE[1]}", *files]) == 0
    recipe = {
        "model": {"name": "cmsa_n", "task": "pose", "input_size": list(SIZE), "options": TINY},
        "data": {"train": [str(folder / "train.crops")], "validate": [str(folder / "evaluate.crops")]},
        "optimizer": {"epochs": 1, "batch_size": 4, "warmup_epochs": 0.5},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe | settings), encoding="utf-8")
    options = ["--out", str(folder / "run"), "--accelerator", "cpu"]
    assert main(["train", str(folder / "recipe.yaml"), *options]) == 0
    return folder / "run" / "last.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize(("category", "name"), [(LSP, "lsp"), (COW, "cow")])
def test_from_the_file_to_the_drawing(
    category: dict[str, Any], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = train_on(tmp_path, category)
    count = len(category["keypoints"])
    network = load_weights(weights)
    description = network.description
    points = description.keypoint_set()
    assert description.names == points.names == tuple(category["keypoints"])
    assert description.options["num_keypoints"] == count
    assert [(first + 1, second + 1) for first, second in points.skeleton] == list(map(tuple, category["skeleton"]))
    assert len(points.flip_pairs) == (6 if name == "lsp" else 1)
    # What an exported file says of itself.
    constants = task_of(network).constants()
    assert (constants["sigmas"], constants["skeleton"]) == (points.sigmas, points.skeleton)
    assert (constants["flip_index"], constants["category_id"]) == (points.flip_index, category["id"])

    scores = tmp_path / "scores.json"
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "recipe.yaml"), "--weights", str(weights), "--json", str(scores)]) == 0
    row = json.loads(scores.read_text())["scores"]["evaluate"]
    assert (row["people"], row["crops"], row["sigmas"]) == (8, 8, "COCO's by name, else 0.05")
    assert ("PCK@0.2" if name == "lsp" else "PCK@0.2 of the box's diagonal") in row

    # Boxes of another category do not count.
    boxes = [
        {"file_name": "0.png", "image_id": 10, "category_id": category["id"], "bbox": [5, 8, 45, 60], "score": 1.0},
        {"file_name": "0.png", "image_id": 10, "category_id": 99, "bbox": [5, 8, 45, 60], "score": 1.0},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes), encoding="utf-8")
    out = tmp_path / "out"
    arguments = [
        "--weights",
        str(weights),
        "--boxes",
        str(tmp_path / "boxes.json"),
        "--out",
        str(out),
        "--save-pictures",
        "png",
    ]
    assert main(["predict", "pose", str(tmp_path / "images" / "0.png"), *arguments]) == 0
    (record,) = json.loads((out / "keypoints.json").read_text())
    assert (record["category_id"], len(record["keypoints"])) == (category["id"], 3 * count)
    # The drawing is not the picture of someone who has no skeleton.
    drawing = np.asarray(Image.open(out / "annotated" / "0.png"))
    people = Predictor.from_pretrained(weights)(tmp_path / "images" / "0.png", [[5, 8, 45, 60]])
    assert people[0].names == points.names
    assert drawing.shape[2] == 3


def test_every_colour_of_a_drawn_set(tmp_path: Path) -> None:
    from cmsa.structures import Box, Keypoints, keypoint_set
    from cmsa.visualization.keypoints import draw_keypoints

    image = np.zeros((200, 300, 3), np.uint8)
    xy = np.array([[40.0, 40], [260, 40], [40, 160], [260, 160]])
    for names, sided in ((COW["keypoints"], True), (["a", "b", "c", "d"], False)):
        points = keypoint_set(names, [(0, 1), (2, 3)])
        person = Keypoints(xy, np.ones(4), points.names, Box(20, 20, 260, 160), points)
        drawn = draw_keypoints(image, [person], readable_side=0)
        # A line from one ear to the other and one from nose to tail; and a dot for each.
        assert drawn[40, 150].any()
        assert drawn[160, 150].any()
        assert not drawn[100, 150].any()
        dots = {tuple(drawn[int(y), int(x) - 2].tolist()) for x, y in xy}
        assert len(dots) == (3 if sided else 4)


def test_weights_of_before_know_their_keypoints_by_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("cmsa_n", "pose", SIZE, **TINY)
    save_weights(tmp_path / "new.safetensors", model)
    entries = model.description.to_metadata()
    old = {key: value for key, value in json.loads(entries["cmsa"]).items() if key != "keypoints"}
    description = Description.from_metadata({"cmsa": json.dumps(old)}, "old")
    assert description.keypoint_set().sigma_source == "COCO"
    assert description.keypoint_set().category_id == 1
    four = Description("cmsa_n", "pose", SIZE, options={"num_keypoints": 4})
    assert four.keypoint_set().names == ("keypoint_0", "keypoint_1", "keypoint_2", "keypoint_3")


def reference(content: dict[str, Any], results: list[dict[str, Any]], category: int, sigmas: Any) -> list[float]:
    """What pycocotools says of the original file."""
    import contextlib
    import io

    from pycocotools.coco import COCO as Annotations
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        annotations = Annotations()
        # It counts the marked keypoints that the file says, and takes the id 0 for nobody.
        rows = [
            entry | {"num_keypoints": sum(v > 0 for v in entry["keypoints"][2::3]), "id": entry["id"] + 1}
            for entry in content["annotations"]
        ]
        annotations.dataset = content | {"annotations": rows}
        annotations.createIndex()
        evaluation = COCOeval(annotations, annotations.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.params.catIds = [category]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:6]]


@pytest.mark.parametrize("category", [LSP, COW], ids=["lsp", "cow"])
def test_average_precision_of_a_store_is_that_of_pycocotools_on_the_file(
    category: dict[str, Any], tmp_path: Path
) -> None:
    from cmsa.data.prepare import prepare

    annotations, images = write_points(tmp_path, category, pictures=6)
    store = prepare(
        "coco", tmp_path / "v.crops", annotations=annotations, images=images, training=False, progress=False
    )
    points = store.keypoint_set()
    truth = KeypointTruth.of_store(store)
    content = json.loads(annotations.read_text(encoding="utf-8"))
    # What the score counts is kept: the file may move or change.
    annotations.unlink()
    random = np.random.default_rng(1)
    results = []
    for row in range(len(store)):
        image = [int(store.labels["image_id"][row])]
        marks = store.labels["keypoints"][row, :, :2].astype(np.float64)
        for spread in (0.0, random.uniform(0, 12)):
            noisy = marks + random.normal(0, spread + 0.5, marks.shape)
            results += coco_results(image, noisy[None], np.ones((1, len(points))), random.random(1), category["id"])
    # A false alarm in the picture without anybody, and one in the crowd.
    for image in (16, 10):
        guess = random.uniform(20, 80, (1, len(points), 2))
        results += coco_results([image], guess, np.ones((1, len(points))), [0.95], category["id"])
    got = evaluate_keypoints(truth, results)
    expected = reference(content, results, category["id"], points.sigmas)
    assert [got[name] for name in METRICS] == pytest.approx(expected, abs=1e-9)
    assert 0.05 < got["AP"] < 0.999
    assert got["people"] == 12
    assert isinstance(CropStore.open(store.folder).truth["crowd"], np.ndarray)
