"""Every network of every recipe takes a training step: at a small size, on small people, by its own codec and loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_people import SIZE, TINY, train_and_val

from cmsa.data.store import CropStore
from cmsa.models.weights import read_description
from cmsa.training.module import build_optimizer
from cmsa.training.recipe import Recipe, load_recipe
from cmsa.training.recipe_files import shipped_names
from cmsa.training.starting_point import build_network
from cmsa.training.train import train

QUICK, SLOW = {"contest_mobilenetv4_small"}, {"contest_efficientvit_b1", "pose_coco_simple_baseline_50_32x24"}
NAMES = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow if name in SLOW else pytest.mark.exhaustive)
    for name in shipped_names()
]
WORKING = [64, 32]
"""HRNet takes multiples of 32."""


def small(name: str, size: tuple[int, int] = SIZE) -> Recipe:
    recipe = load_recipe(name, ["--protocol=ours"])
    recipe.model.init, recipe.model.input_size = None, list(size)
    if recipe.model.name.startswith("cmsa_"):
        recipe.model.options |= TINY
    elif recipe.model.working_size is not None:
        recipe.model.working_size = list(WORKING)
    return recipe


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[CropStore]:
    return train_and_val(tmp_path_factory.mktemp("people"), pictures=2)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_every_network(name: str, stores: list[CropStore], tmp_path: Path) -> None:
    recipe = small(name)
    if recipe.model.task != "pose":
        network = build_network(small(name, (16, 16))).train()
        optimizer = build_optimizer(network, 0.05, 1e-3)
        images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        output = network(images)
        output.square().mean().backward()
        learning = {key: value for key, value in network.named_parameters() if value.requires_grad}
        assert all(value.grad is not None and value.grad.isfinite().all() for value in learning.values())
        optimizer.step()
        assert (network.eval()(images) - output).abs().max() > 0
        return
    recipe.data.train, recipe.data.validate = ([str(store.folder)] for store in stores)
    recipe.optimizer.samples, recipe.optimizer.epochs, recipe.optimizer.batch_size = 4, 1, 4
    recipe.teacher.weights = ""
    run = train(recipe, tmp_path / "run", accelerator="cpu", progress=False)
    description = read_description(run / "last.safetensors")
    assert description.name == recipe.model.name
    assert description.decoding["codec"] == recipe.codec
