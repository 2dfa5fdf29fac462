"""SimCC from a recipe to predictions: ``codec: simcc`` is enough."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_people import SIZE, TINY, tiny_recipe, train_and_val

from cmsa.data.store import CropStore
from cmsa.evaluation.evaluate import evaluate_recipe
from cmsa.geometry.affine import apply_affine
from cmsa.inference.predictor import Predictor
from cmsa.models.create import create_model, load_weights
from cmsa.models.heads.simcc import SimCCHead
from cmsa.runtime.preprocess import Preprocess
from cmsa.tasks.pose.codecs.simcc import SimCC
from cmsa.tasks.pose.task import PoseTask
from cmsa.training.recipe import Recipe
from cmsa.training.train import build_module, train


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[CropStore]:
    return train_and_val(tmp_path_factory.mktemp("people"))


@pytest.fixture
def recipe(stores: list[CropStore]) -> Recipe:
    recipe = tiny_recipe(*stores, epochs=1)
    recipe.codec, recipe.sigma = "simcc", 1.5
    return recipe


def test_the_codec_brings_its_head_and_the_weights_remember(recipe: Recipe, tmp_path: Path) -> None:
    recipe.label_smoothing = 0.1
    recipe.model.options["split"] = 3.0
    run = train(recipe, tmp_path / "run", accelerator="cpu", progress=False)
    model = load_weights(run / "best.safetensors")
    assert isinstance(model.head, SimCCHead)
    assert model.description.options["head"] == "simcc"
    decoding = {"codec": "simcc", "loss": "cross_entropy", "sigma": 1.5, "label_smoothing": 0.1}
    assert model.description.decoding == decoding
    scores = evaluate_recipe(recipe, str(run / "best.safetensors"), flip_test=True)["val"]
    assert scores["crops"] == 8
    predictor = Predictor(model)
    codec = predictor.task.codec
    assert isinstance(codec, SimCC)
    assert (codec.bins, codec.sigma, codec.label_smoothing) == ((36, 48), 1.5, 0.1)
    picture = np.full((64, 48, 3), 90, np.uint8)
    for flip_test in (False, True):
        (person,) = predictor(picture, flip_test=flip_test)
        assert person.xy.shape == (17, 2)
        assert (person.xy > -40).all()
        assert (person.xy < 90).all()


def test_a_contradiction_is_refused(recipe: Recipe) -> None:
    recipe.model.options["head"] = "heatmap"
    with pytest.raises(ValueError, match="the codec 'simcc' reads the head simcc, the model's options say 'heatmap'"):
        build_module(recipe)
    recipe.codec, recipe.model.options["head"] = "udp", "simcc"
    with pytest.raises(ValueError, match=r"the codec 'udp' reads the head heatmap.*, the model's options say 'simcc'"):
        build_module(recipe)
    recipe.codec, recipe.loss = "simcc", "mse"
    with pytest.raises(ValueError, match="no loss 'mse' of the codec 'simcc'; there are cross_entropy"):
        build_module(recipe)


@pytest.mark.slow
def test_two_hundred_steps_find_the_keypoints_of_eight_people(stores: list[CropStore]) -> None:
    torch.manual_seed(0)
    task = PoseTask(SIZE, SIZE, "simcc")
    network = create_model("cmsa_n", "pose", SIZE, head="simcc", **TINY)
    batch = stores[1].read(slice(None))
    images = Preprocess()(batch["crops"])
    points = apply_affine(batch["matrix"].float(), batch["keypoints"][..., :2])
    labels = {
        "keypoints": batch["keypoints"],
        "matrices": batch["matrix"],
        "flipped": torch.zeros(len(images), dtype=torch.bool),
    }
    targets = task.encode(labels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = task.loss(network(images), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    entropy = -(targets["probabilities"] * targets["probabilities"].clamp(min=1e-30).log()).sum(-1).mean().item()
    assert losses[0] - entropy > 1
    assert losses[-1] - entropy < 0.1 * (losses[0] - entropy)
    with torch.no_grad():
        xy, scores = task.decode(network.eval()(images))
    error = (xy - points).norm(dim=2)[targets["weight"] > 0].mean().item()
    assert error < 1
    assert scores.mean() > 0.5
