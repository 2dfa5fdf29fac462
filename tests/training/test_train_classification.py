"""Classification from an archive to class names: prepare, train, evaluate, predict."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_classes import write_cifar10
from tiny_people import TINY

from cmsa.cli.main import main
from cmsa.data.store import CropStore
from cmsa.evaluation.evaluate import evaluate_recipe
from cmsa.inference.predictor import Predictor
from cmsa.models.create import load_weights
from cmsa.runtime.feeding import open_for_evaluation
from cmsa.tasks.classification import ClassificationTask
from cmsa.training.recipe import Recipe, load_recipe
from cmsa.training.train import build_module, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cifar")
    write_cifar10(folder)
    for purpose in ("train", "evaluate"):
        arguments = ["prepare", "--dataset", "cifar10", "--for", purpose, "--images", str(folder)]
        assert main([*arguments, "--out", str(folder / f"{purpose}.crops")]) == 0
    return folder


@pytest.fixture
def recipe(folder: Path) -> Recipe:
    recipe = load_recipe("cifar10_cmsa_s")
    recipe.model.options = dict(TINY)
    recipe.data.train, recipe.data.validate = [str(folder / "train.crops")], [str(folder / "evaluate.crops")]
    recipe.optimizer.epochs, recipe.optimizer.batch_size, recipe.optimizer.warmup_epochs = 1, 5, 0
    return recipe


def test_train_evaluate_predict(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(recipe, tmp_path / "run", accelerator="cpu", progress=False)
    model = load_weights(run / "last.safetensors")
    assert model.description.names == tuple(f"class {label}" for label in range(10))
    assert model.description.options["num_classes"] == 10
    assert model.description.training["scores"]["val/top5"] >= model.description.training["scores"]["val/top1"]
    scores = evaluate_recipe(recipe, str(run / "last.safetensors"), flip_test=True, pictures=tmp_path / "pictures")[
        "evaluate"
    ]
    assert scores["images"] == 2
    assert scores["data"] == "CIFAR-10 test"
    assert (tmp_path / "pictures" / "evaluate.png").stat().st_size > 1000
    (prediction,) = Predictor(model)(np.zeros((32, 32, 3), np.uint8))
    assert len(prediction.top(3)) == 3
    assert prediction.names[0] == "class 0"


def test_deit_s_augmentation_trains_and_the_network_is_scored(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    """``protocol: release``: all of it at once, and the weights that are kept are the network's, not the average's."""
    deit = load_recipe("cifar10_cmsa_s", ["--protocol=release"])
    deit.model.options, deit.data, deit.optimizer.warmup_epochs = recipe.model.options, recipe.data, 0
    deit.optimizer.epochs, deit.optimizer.batch_size, deit.optimizer.learning_rate_rule = 1, 5, "fixed"
    run = train(deit, tmp_path / "run", accelerator="cpu", progress=False)
    kept, state = load_weights(run / "last.safetensors").state_dict(), torch.load(run / "last.ckpt")["state_dict"]
    name = "stem.embedding1.pointwise.conv.conv.weight"
    name = name if name in kept else next(key for key in kept if key.startswith("stem") and key.endswith("weight"))
    torch.testing.assert_close(kept[name], state[f"network.{name}"], rtol=2e-3, atol=1e-4)
    assert not torch.allclose(kept[name], state[f"average.module.{name}"], rtol=2e-3, atol=1e-4)
    module = build_module(deit)
    batch = CropStore.open(folder / "train.crops").read(slice(None))
    images, targets = module.augment(batch)
    deit.augment.randaugment = 0
    plain, _ = build_module(deit).augment(batch)
    assert images.shape == plain.shape
    assert images.isfinite().all()
    assert (images != plain).any()
    torch.testing.assert_close(targets["probabilities"].sum(dim=1), torch.ones(10))


def test_images_move_by_whole_pixels(recipe: Recipe, folder: Path) -> None:
    """Of mixup and erasing freed, every image is a shifted, perhaps mirrored part of the stored one."""
    recipe.augment.mixup = recipe.augment.erasing_probability = 0.0
    module = build_module(recipe)
    batch = CropStore.open(folder / "train.crops").read(slice(None))
    images, targets = module.augment(batch)
    shown = (
        images * torch.tensor([0.229, 0.224, 0.225])[:, None, None] + torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    )
    padded = torch.nn.functional.pad(batch["crops"].permute(0, 3, 1, 2) / 255, (4, 4, 4, 4))
    for image, source in zip(shown, padded, strict=True):
        found = [
            (part - image).abs().max() < 1e-4
            for top in range(9)
            for left in range(9)
            for part in (
                source[:, top : top + 32, left : left + 32],
                source[:, top : top + 32, left : left + 32].flip(2),
            )
        ]
        assert sum(bool(hit) for hit in found) == 1
    torch.testing.assert_close(targets["probabilities"].max(dim=1).values, torch.full((10,), 0.91))


def test_mixup_blends_images_and_targets(recipe: Recipe, folder: Path) -> None:
    module = build_module(recipe)
    _, targets = module.augment(CropStore.open(folder / "train.crops").read(slice(None)))
    assert (targets["probabilities"] > 0.011).sum(dim=1).max() == 2
    torch.testing.assert_close(targets["probabilities"].sum(dim=1), torch.ones(10))


def test_the_flip_test_averages_probabilities(folder: Path) -> None:
    store = CropStore.open(folder / "evaluate.crops")
    task = ClassificationTask(10)
    score = task.score(store)
    plain, mirrored = torch.full((1, 10), -50.0), torch.full((1, 10), -50.0)
    plain[0, 3], mirrored[0, 4] = 50, 50
    score.update({"label": torch.tensor([3])}, task.average(plain, mirrored))
    assert score.compute()["nll"] == pytest.approx(np.log(2), abs=1e-6)


def test_classes_must_agree(recipe: Recipe, folder: Path) -> None:
    recipe.model.options["num_classes"] = 7
    with pytest.raises(ValueError, match=r"train\.crops: has 10 classes, the recipe 7"):
        build_module(recipe)
    del recipe.model.options["num_classes"]
    from cmsa.models.description import Description

    other = Description("cmsa_s", "classification", (32, 32), names=("cat", "dog"))
    with pytest.raises(ValueError, match="its 10 classes are not the model's 2"):
        open_for_evaluation(folder / "evaluate.crops", other)


def test_the_baseline_trains_too(recipe: Recipe, tmp_path: Path) -> None:
    recipe.model.name, recipe.model.options = "timm/resnet18", {"stem_stride": 1}
    module = build_module(recipe)
    loss = module.task.loss(module.network(torch.zeros(2, 3, 32, 32)), {"probabilities": torch.full((2, 10), 0.1)})
    assert torch.isfinite(loss)
