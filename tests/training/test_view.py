"""A sheet shows what a training sees, and no other thing like it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_store import labelled_store
from PIL import Image
from tiny_people import SIZE, people_store, tiny_recipe, write_people

from cmsa.cli.main import main
from cmsa.data.crops import CropSpec
from cmsa.data.store import CropStore
from cmsa.structures import COCO, Box, ClassScores, HeadPose
from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.head_pose import HeadPoseTask
from cmsa.tasks.pose.task import PoseTask
from cmsa.training import view
from cmsa.training.module import training_loader
from cmsa.training.recipe import ModelRecipe, Recipe
from cmsa.training.train import build_module
from cmsa.training.view import view_recipe, view_store


@pytest.fixture
def store(tmp_path: Path) -> CropStore:
    write_people(tmp_path)
    return people_store(tmp_path, "train.crops", training=True)


def test_the_images_are_those_of_the_first_steps(store: CropStore, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(store, store)
    recipe.data.validate, recipe.augment.repeats = [], 3
    recipe.augment.degradation_probability, recipe.augment.erasing_probability, recipe.augment.jitter = 0.5, 0.5, 0.3
    seen: list[np.ndarray] = []
    monkeypatch.setattr(view, "annotate_crop", lambda crop, value, top: seen.append(crop) or crop)
    view_recipe(recipe, 6)
    module = build_module(recipe)
    first = next(iter(training_loader(recipe, [store])))
    images, _ = module.augment(first)
    mean, std = module.preprocess.mean, module.preprocess.std
    expected = (images * std + mean).clamp(0, 1).permute(0, 2, 3, 1)
    assert len(seen) == 8
    np.testing.assert_allclose(np.stack(seen[:4]) / 255, expected.numpy(), atol=0.5 / 255 + 1e-6)
    assert np.abs(np.stack(seen[4:]) / 255 - expected.numpy()).max() > 0.1


def test_labels_of_pose_are_where_the_targets_are() -> None:
    task = PoseTask((32, 24), (32, 24))
    random = torch.Generator().manual_seed(0)
    points = torch.rand(5, 17, 3, generator=random) * torch.tensor([20.0, 28, 0]) + torch.tensor([2.0, 2, 2])
    matrices = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[-1, 0, 23], [0, 1, 0]]])[[0, 1, 1, 0, 1]]
    batch = {"keypoints": points, "matrices": matrices, "flipped": matrices[:, 0, 0] < 0}
    targets = task.encode(batch)
    xy, marked = task.augmented_truth(batch, targets)
    decoded, _ = task.decode(targets["heatmaps"])
    assert (marked == 1).all()
    torch.testing.assert_close(xy, decoded, atol=0.05, rtol=0)
    left, right = COCO.names.index("left_wrist"), COCO.names.index("right_wrist")
    torch.testing.assert_close(xy[1, left, 0], 23 - points[1, right, 0])


def test_labels_of_the_other_tasks_are_the_targets() -> None:
    angles = {"angles": torch.tensor([[10.0, 20, 30]]), "matrices": torch.tensor([[[-1.0, 0, 9], [0, 1, 0]]])}
    heads = HeadPoseTask()
    torch.testing.assert_close(heads.augmented_truth(angles, heads.encode(angles))[0], torch.tensor([[-10.0, 20, -30]]))
    classes = ClassificationTask(4, label_smoothing=0.2)
    label = {"label": torch.tensor([2])}
    found = classes.augmented_truth(label, classes.encode(label))[0]
    torch.testing.assert_close(found, torch.tensor([[0.05, 0.05, 0.85, 0.05]]))


@pytest.mark.parametrize("task", ["head_pose", "classification"])
def test_the_other_tasks_have_sheets(task: str, tmp_path: Path) -> None:
    made = labelled_store(tmp_path / f"{task}.crops", task, CropSpec.for_training((20, 16), padding=1.0))
    recipe = Recipe(model=ModelRecipe(name="cmsa_n", task=task, input_size=[20, 16]))
    recipe.data.train, recipe.optimizer.batch_size = [str(made.folder)], 3
    recipe.augment.mixup = 0.4 if task == "classification" else 0.0
    seen, stored = view_recipe(recipe, 4, "mine"), view_store(made, 9)
    assert seen.shape[0] == stored.shape[0] == 2 * 24 + 30 + 30 + 270
    assert seen.shape[1] > 4 * 192
    assert stored.shape[1] > 6 * 240


def test_the_command(store: CropStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.jpg"
    assert main(["view", str(store.folder), "--count", "3", "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.format == "JPEG"
        # Three crops, as high as all are drawn.
        assert picture.height == 2 * 24 + 30 + 30 + 270
    words = ["--data.train", f"[{store.folder}]", "--model.input_size", str(list(SIZE)), "--optimizer.batch_size", "4"]
    sheets = []
    for seed in ("1", "1", "2"):
        assert main(["view", "pose_finetune", *words, "--seed", seed, "--out", str(tmp_path / "seen.png")]) == 0
        sheets.append((tmp_path / "seen.png").read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]
    assert capsys.readouterr().out.splitlines() == [f"drew {path}" for path in (out, *[tmp_path / "seen.png"] * 3)]


def test_the_default_picture_is_never_drawn_over_another(
    store: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["view", str(store.folder), "--count", "2"]) == 0
    assert capsys.readouterr().out == f"drew {tmp_path / 'view.png'}\n"
    drawn = (tmp_path / "view.png").read_bytes()
    assert main(["view", str(store.folder), "--count", "3"]) == 2
    assert f"{tmp_path / 'view.png'}: is there already; name the picture to write with --out" in capsys.readouterr().err
    assert (tmp_path / "view.png").read_bytes() == drawn


def test_a_label_is_its_name() -> None:
    task = ClassificationTask(3, names=("cup", "cat", "car"))
    scores = ClassScores(np.array([0.0, 0.95, 0.05]), ("cup", "cat", "car"), Box(0, 0, 8, 8))
    assert task.label_in_words(scores, 1) == "cat"
    assert task.label_in_words(scores, 2) == "cat 95.0%, car 5.0%"
    pose = HeadPose(10.04, -20, 30, Box(0, 0, 8, 8))
    assert HeadPoseTask().label_in_words(pose, 1) == "yaw +10.0° pitch -20.0° roll +30.0°"


def test_what_is_no_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("# cmsa\n\nVision: on low: resolution\n", encoding="utf-8")
    assert main(["view", str(tmp_path / "README.md"), "--out", str(tmp_path / "x.png")]) == 2
    assert capsys.readouterr().err.strip().endswith("README.md is no recipe: line 3 is not YAML")


def test_what_train_would_refuse_is_shown_with_a_word(
    store: CropStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "seen.png"
    words = ["--data.train", f"[{store.folder}]", "--model.input_size", str(list(SIZE)), "--optimizer.batch_size", "4"]
    assert main(["view", "pose_finetune", *words, "--data.antialias", "false", "--out", str(out)]) == 0
    assert out.is_file()
    assert f"cmsa view: cmsa train would refuse this: {store.folder}: crops are averaged" in capsys.readouterr().err
    assert main(["view", "pose_finetune", *words, "--data.antialias", "true", "--out", str(out)]) == 0
    assert not capsys.readouterr().err
