"""Head pose from pictures to angles: prepare, train, evaluate, predict."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_faces import write_faces
from tiny_people import TINY

from cmsa.cli.main import main
from cmsa.inference.predictor import Predictor
from cmsa.models.create import create_model, load_weights
from cmsa.models.weights import save_weights
from cmsa.training.recipe import Recipe, load_recipe
from cmsa.training.train import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces and their stores of 16x16 crops, made by the command line."""
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder / "faces")
    for purpose, dataset in (("train", "300w-lp"), ("evaluate", "aflw2000")):
        arguments = ["prepare", "--dataset", dataset, "--for", purpose, "--images", str(folder / "faces")]
        assert main([*arguments, "--size", "16x16", "--out", str(folder / f"{purpose}.crops")]) == 0
    return folder


def recipe_of(folder: Path, head: str) -> Recipe:
    recipe = load_recipe("head_pose_cmsa_s_32x32")
    recipe.model.input_size = [16, 16]
    recipe.model.options = {"head": head} | TINY
    recipe.data.train, recipe.data.validate = [str(folder / "train.crops")], [str(folder / "evaluate.crops")]
    recipe.optimizer.epochs, recipe.optimizer.batch_size, recipe.optimizer.warmup_epochs = 1, 4, 0
    return recipe


@pytest.mark.parametrize("head", ["ssr", "bins", "rotation_6d"])
def test_every_head_trains_and_predicts(folder: Path, head: str, tmp_path: Path) -> None:
    run = train(recipe_of(folder, head), tmp_path / "run", accelerator="cpu", progress=False)
    model = load_weights(run / "best.safetensors")
    training = model.description.training
    assert np.isfinite(training["scores"]["val/mae"])
    # The best constants are the medians: of yaw alone, spread evenly over ±40°, the error is about 23°.
    assert training["scores"]["val/constant"] == pytest.approx(160 / 7 / 3, rel=1e-3)
    assert model.description.crop["margin"] == "fsanet"
    assert model.description.names == ("yaw", "pitch", "roll")
    picture = folder / "faces" / "face0.jpg"
    (pose,) = Predictor(model)(picture, [[30, 20, 40, 30]])
    assert np.isfinite([pose.yaw, pose.pitch, pose.roll]).all()


def test_evaluation_reports_how_faces_were_cut(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cmsa.evaluation.evaluate import evaluate_recipe

    torch.manual_seed(0)
    file = tmp_path / "weights.safetensors"
    save_weights(file, create_model("cmsa_s", "head_pose", (16, 16), **TINY))
    scores = evaluate_recipe(recipe_of(folder, "ssr"), str(file), flip_test=True)["evaluate"]
    assert (scores["count"], scores["boxes"], scores["margin"]) == (8, "landmarks", "fsanet")
    assert scores["constant"] == pytest.approx(160 / 7 / 3, rel=1e-3)
    assert "mae_yaw_30_60" in scores


def test_the_predictor_cuts_faces_as_they_were_stored(folder: Path) -> None:
    from cmsa.data.store import CropStore

    store = CropStore.open(folder / "evaluate.crops")
    model = create_model("cmsa_s", "head_pose", (16, 16), **TINY)
    object.__setattr__(model.description, "crop", {"padding": 1.0, "convention": "pixel", "margin": "fsanet"})
    predictor = Predictor(model)
    ((crop, matrix),) = predictor.crops(folder / "faces" / "face0.jpg", [[30, 20, 40, 30]])
    np.testing.assert_array_equal(crop, store.crops[0])
    np.testing.assert_allclose(matrix, store.labels["matrix"][0])
    # A whole picture has no box that could be widened.
    ((_, whole),) = predictor.crops(folder / "faces" / "face0.jpg")
    assert whole[0, 0] == pytest.approx(16 / 100)
