import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_people import SIZE, TINY, people_store, tiny_recipe

from cmsa.data.store import CropStore, StoreError, names_of, store_names
from cmsa.data.transforms.preprocess import Preprocess
from cmsa.evaluation.evaluate import evaluate_recipe, evaluate_store
from cmsa.export import export
from cmsa.export.converted import open_exported_of
from cmsa.export.run import ExportOptions
from cmsa.metrics.table import score_table
from cmsa.models.cost import cost_of
from cmsa.models.create import create_model, load_weights
from cmsa.models.description import Description
from cmsa.models.fuse import fuse
from cmsa.models.weights import read_description, save_weights
from cmsa.runtime.feeding import open_for_evaluation
from cmsa.tasks.pose.task import PoseTask
from cmsa.training.recipe import load_recipe


@pytest.mark.parametrize("flip_test", [False, True])
def test_batches_do_not_matter(store: CropStore, flip_test: bool) -> None:
    torch.manual_seed(0)
    task, network = PoseTask(SIZE, SIZE), create_model("cmsa_n", "pose", SIZE, **TINY).eval()
    done: list[int] = []
    one, many = (
        evaluate_store(network, task, store, flip_test=flip_test, batch_size=size, advance=done.append)
        for size in (1, 5)
    )
    assert one == pytest.approx(many)
    assert done == [1] * 8 + [5, 3]


def test_the_flip_test_sees_mirrored_images(store: CropStore) -> None:
    seen: list[torch.Tensor] = []

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return torch.zeros(len(images), 17, *SIZE)

    evaluate_store(network, PoseTask(SIZE, SIZE), store, flip_test=True, batch_size=8)
    assert len(seen) == 2
    assert torch.equal(seen[0].flip(3), seen[1])


def test_images_are_normalised_as_the_weights_say(store: CropStore) -> None:
    seen: list[torch.Tensor] = []

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return torch.zeros(len(images), 17, *SIZE)

    evaluate_store(network, PoseTask(SIZE, SIZE), store, preprocess=Preprocess((0.5,) * 3, (0.25,) * 3), batch_size=8)
    crops = store.read(slice(None))["crops"]
    torch.testing.assert_close(seen[0], (crops.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25)


def test_one_table_and_json(store: CropStore, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "new" / "scores.json"
    weights = str(folder / "model.safetensors")
    scores = evaluate_recipe(tiny_recipe(store, store), weights, flip_test=True, out=out)
    kept = json.loads(out.read_text(encoding="utf-8"))
    assert {name: kept[name] for name in ("weights", "flip_test", "scores")} == {
        "weights": weights,
        "flip_test": True,
        "scores": scores,
    }
    assert scores["val"]["crops"] == 8
    cost = cost_of(load_weights(weights), fuse(load_weights(weights)), SIZE)
    assert kept["model"] == {
        "name": "cmsa_n",
        "task": "pose",
        "input_size": list(SIZE),
        "options": TINY | {"fusion": "mixer", "num_keypoints": 17},
        "decoding": {},
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "multiply_adds_with_attention": cost.with_attention,
    }
    assert kept["stores"]["val"]["crop"] == {
        "size": list(SIZE),
        "padding": 1.25,
        "convention": "pixel",
        "antialias": True,
        "margin": "none",
    }
    assert (kept["stores"]["val"]["boxes"], kept["stores"]["val"]["crops"]) == ("ground truth", 8)
    assert len(kept["details"]["val"]["by_keypoint"]) == 17
    low, high = kept["intervals"]["val"]["AP"]
    assert low <= scores["val"]["AP"] <= high
    shown = capsys.readouterr().out
    # A long path wraps the title.
    assert "flip test on" in " ".join(shown.split())
    assert "AP50" in shown
    assert "ground truth" in shown  # where the boxes came from


def test_the_recipe_that_is_kept_is_that_of_the_weights(store: CropStore, folder: Path) -> None:
    """Not the one that names the stores, which may be of another network, with scores that were published of that."""
    trained = tiny_recipe(store, store, epochs=7)
    asked = load_recipe("pose_coco_cmsa_s_32x24", [f"--data.validate=[{store.folder}]"])
    assert asked.published["AP"] == 52.3
    told = {"data": "people", "epoch": 5, "recipe": trained.to_dict()}
    for training in (told, {"recipe": "digits"}, {}):
        weights = folder / "told.safetensors"
        save_weights(weights, create_model("cmsa_n", "pose", SIZE, **TINY), training=training)
        evaluate_recipe(asked, str(weights), out=folder / "told.json")
        kept = json.loads((folder / "told.json").read_text(encoding="utf-8"))
        assert (kept["model"]["name"], kept["stores"]["val"]["folder"]) == ("cmsa_n", str(store.folder))
        assert kept["recipe"] == training.get("recipe")
        assert kept["seed"] == (3 if training is told else None)
        assert kept["training"] == {name: value for name, value in training.items() if name != "recipe"}


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_row_for_each_sample(store: CropStore, folder: Path, ending: str) -> None:
    import pyarrow.parquet

    path = folder / f"samples{ending}"
    evaluate_recipe(tiny_recipe(store, store), str(folder / "model.safetensors"), samples=path)
    if ending == ".jsonl":
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    else:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    assert [(row["store"], row["sample"], row["image_id"]) for row in rows] == [
        ("val", place, picture) for place, picture in enumerate(store.labels["image_id"].tolist())
    ]
    assert all(0 <= row["oks"] <= 1 for row in rows)
    with pytest.raises(ValueError, match=r"samples\.csv: results of samples are kept as \.jsonl or \.parquet"):
        evaluate_recipe(tiny_recipe(store, store), "whatever", samples=folder / "samples.csv")


def test_stores_that_do_not_fit_are_refused(store: CropStore, folder: Path) -> None:
    def described(**changes: object) -> Description:
        return Description(**{"name": "cmsa_n", "task": "pose", "input_size": SIZE} | changes)  # type: ignore[arg-type]

    assert open_for_evaluation(store.folder, described(crop={"padding": 1.25, "convention": "pixel"})) is not None
    with pytest.raises(StoreError, match=r"none\.crops: there is no crop store"):
        open_for_evaluation(folder / "none.crops", described())
    with pytest.raises(ValueError, match="holds crops for pose, not for head_pose"):
        open_for_evaluation(store.folder, described(task="head_pose"))
    with pytest.raises(ValueError, match=r"of \(16, 12\) \(HxW\), the model takes \(32, 24\)"):
        open_for_evaluation(store.folder, described(input_size=(32, 24)))
    with pytest.raises(ValueError, match=r"'convention': 'pixel'.*'convention': 'udp'"):
        open_for_evaluation(store.folder, described(crop={"convention": "udp"}))
    training = people_store(folder, "train.crops", training=True)
    with pytest.raises(ValueError, match="--for evaluate"):
        open_for_evaluation(training.folder, described())
    empty = tiny_recipe(store, store)
    empty.data.validate = []
    with pytest.raises(ValueError, match=r"data\.validate"):
        evaluate_recipe(empty, "whatever")


def test_a_table_of_different_scores() -> None:
    from rich.console import Console

    console = Console(record=True, width=100, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(score_table({"a": {"AP": 0.51234, "people": 8.0}, "b": {"mae": 4.5, "boxes": "given"}}, "title"))
    shown = console.export_text()
    for text in ("0.5123", " 8 ", "4.5000", "given"):
        assert text in shown


def test_stores_of_one_name_are_told_apart(store: CropStore) -> None:
    other = replace(store, folder=store.folder.parent / "more" / "val.crops")
    third = replace(store, folder=store.folder.parent / "test.crops")
    parent = store.folder.parent.as_posix()
    assert store_names([store, other, third]) == [f"{parent}/val", f"{parent}/more/val", "test"]
    assert store_names([store, third]) == ["val", "test"]


@pytest.mark.slow
def test_exported_files_are_scored_beside_the_weights(store: CropStore, folder: Path) -> None:
    weights = folder / "model.safetensors"
    path = export(load_weights(weights), folder / "model.onnx").path
    scores = evaluate_recipe(tiny_recipe(store, store), str(weights), exported=[path])
    assert list(scores) == ["val", "val, model.onnx"]
    assert scores["val, model.onnx"] == pytest.approx(scores["val"], abs=1e-4)
    decoding = export(load_weights(weights), folder / "decoding.onnx", options=ExportOptions(decode=True)).path
    with pytest.raises(ValueError, match=r"decoding.onnx: was exported with --normalise or --decode"):
        evaluate_recipe(tiny_recipe(store, store), str(weights), exported=[decoding])
    save_weights(folder / "larger.safetensors", create_model("cmsa_n", "pose", (32, 32), **TINY))
    with pytest.raises(ValueError, match=r"the weights are cmsa_n for pose at 32x32"):
        open_exported_of(path, read_description(folder / "larger.safetensors"))


def test_files_of_one_name_are_told_apart() -> None:
    paths = [Path("a/model.onnx"), Path("b/model.onnx"), Path("c/other.onnx")]
    assert names_of(paths) == ["a/model.onnx", "b/model.onnx", "other.onnx"]


def test_what_is_not_finite_is_told_with_the_crop(store: CropStore) -> None:
    seen = 0

    def network(images: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        output = torch.zeros(len(images), 17, *SIZE)
        output[max(0, 5 - seen) :] = torch.nan
        seen += len(images)
        return output

    told = rf"{store.folder.name}: what the network says of crop 5 is not finite: the weights or the exported file are"
    with pytest.raises(ValueError, match=told):
        evaluate_store(network, PoseTask(SIZE, SIZE), store, batch_size=3)


def test_a_device_without_numbers_is_refused(store: CropStore, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"device 'meta' cannot be used; PyTorch finds here: cpu"):
        evaluate_recipe(tiny_recipe(store, store), str(folder / "model.safetensors"), device="meta")


def test_pictures_that_no_task_draws_are_told(store: CropStore, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no pictures are drawn of the scores of pose \(--pictures\)"):
        evaluate_recipe(tiny_recipe(store, store), str(folder / "model.safetensors"), pictures=folder / "drawn")
    assert not (folder / "drawn").exists()
