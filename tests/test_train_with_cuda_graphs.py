"""The example that trains with CUDA graphs. On the CPU the same steps run without a graph."""

from __future__ import annotations

import copy
import importlib.util
import json
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest
import torch
from timm.utils.model_ema import ModelEmaV3
from tiny_people import tiny_recipe, train_and_val

from cmsa.data.store import CropStore
from cmsa.evaluation.evaluate import evaluate_recipe
from cmsa.models.create import load_weights
from cmsa.models.weights import read_description
from cmsa.training.recipe import Recipe
from cmsa.training.train import build_module

EXAMPLE = Path(__file__).parents[1] / "examples" / "train_with_cuda_graphs.py"
CPU = torch.device("cpu")
NEEDS_CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_with_cuda_graphs", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[CropStore]:
    return train_and_val(tmp_path_factory.mktemp("people"))


@pytest.fixture
def recipe(stores: list[CropStore]) -> Recipe:
    return tiny_recipe(*stores, ema_decay=0.9, learning_rate=3e-3)


def test_an_epoch_sees_each_crop_as_often_as_its_store_is_named(example, recipe, stores):
    recipe.data.train *= 3
    batches = example.Batches(build_module(recipe), CPU)
    assert len(batches.held["crops"]) == 8
    seen = []
    batches.task.encode = lambda moved: {"id": moved["annotation_id"]}
    for images, targets in islice(batches, 6):
        assert images.shape == (4, 3, 16, 12)
        seen += targets["id"].tolist()
    assert sorted(seen) == sorted(3 * stores[0].read(slice(None))["annotation_id"].tolist())
    assert seen[:8] != sorted(seen[:8])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
def test_steps_descend_and_the_average_follows(example, recipe, device):
    module = build_module(recipe).to(device)
    module.network.train()
    wanted = ModelEmaV3(copy.deepcopy(module.network), decay=0.9, use_warmup=True)
    batch = next(iter(example.Batches(module, torch.device(device))))
    step, losses = example.GraphStep(module, *batch), []
    for done in range(1, 13):
        losses.append(step(*batch, 3e-3).item())
        wanted.update(module.network, step=done)
    assert losses[-1] < 0.9 * losses[0]
    for mine, theirs in zip(module.evaluated.state_dict().values(), wanted.module.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
def test_nothing_moves_without_a_learning_rate(example, recipe, device):
    module = build_module(recipe).to(device)
    module.network.train()
    before = copy.deepcopy(list(module.network.parameters()))
    batch = next(iter(example.Batches(module, torch.device(device))))
    example.GraphStep(module, *batch)(*batch, 0.0)
    assert all(map(torch.equal, before, module.network.parameters()))


def test_the_learning_rate_rises_and_falls(example, recipe):
    recipe.optimizer.final_learning_rate = 1e-5
    rates = [example.learning_rate(recipe.optimizer, *at) for at in ((0, 0.0), (199, 0.0), (500, 0.5), (900, 1.0))]
    assert rates == pytest.approx([1.5e-5, 3e-3, 1.505e-3, 1e-5])


def test_it_trains_and_its_weights_are_evaluated(example, recipe, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(json.dumps(recipe.to_dict()))
    arguments = [str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "run"), "--minutes", "0.02", "--seed", "5"]
    example.main(arguments)
    file = tmp_path / "run" / "last.safetensors"
    training = read_description(file).training
    assert training["recipe"]["seed"] == 5
    assert training["samples"] > 0
    assert training["samples"] % 4 == 0
    assert f"{file}: {training['samples']:,} crops, last loss" in capsys.readouterr().out
    torch.manual_seed(5)
    recipe.seed = 5
    fresh = build_module(recipe).network
    moved = [not torch.equal(*pair) for pair in zip(load_weights(file).parameters(), fresh.parameters(), strict=True)]
    assert all(moved)
    (scores,) = evaluate_recipe(recipe, str(file)).values()
    assert training["scores"]["val"] == scores
    with pytest.raises(SystemExit, match=r"last\.safetensors is there already"):
        example.main(arguments)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--optimizer.clip_norm", "1"], "optimizer.clip_norm"),
        (["--teacher.weights", "cmsa_n_pose_32x24"], "teacher.weights"),
        (["--optimizer.batch_size", "9"], "cannot fill one batch of 9"),
        (["--data.train", "[none.crops]"], "none.crops"),
        (["--optimizer.speed", "9"], "speed"),
    ],
)
def test_what_it_cannot_do_is_told(example, recipe, tmp_path, more, told):
    (tmp_path / "mine.yaml").write_text(json.dumps(recipe.to_dict()))
    with pytest.raises(SystemExit, match=told):
        example.main([str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "run"), "--minutes", "0.02", *more])
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_told_before_the_work(example, recipe, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(json.dumps(recipe.to_dict()))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr(example, "build_module", lambda recipe: pytest.fail("it began"))
    with pytest.raises(SystemExit, match=r"error: \S+/run/last\.safetensors: cannot be written \(\S+ is read-only\)"):
        example.main([str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "run"), "--minutes", "0.02"])


def test_minutes_are_a_number_above_nothing(example, capsys):
    with pytest.raises(SystemExit):
        example.main(["digits", "--out", "run", "--minutes", "0"])
    assert "--minutes must be at least 0.01, got 0.0" in capsys.readouterr().err
