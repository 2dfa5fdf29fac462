from types import SimpleNamespace

import pytest
import torch
from tiny_people import people_store, tiny_recipe, write_people

from cmsa.benchmark.step import TrainingStep
from cmsa.training.module import TrainingModule
from cmsa.training.recipe import OptimizerRecipe
from cmsa.training.train import build_module


@pytest.fixture(scope="module")
def module(tmp_path_factory) -> TrainingModule:
    folder = tmp_path_factory.mktemp("people")
    write_people(folder)
    stores = [people_store(folder, f"{name}.crops", training=name == "train") for name in ("train", "val")]
    return build_module(tiny_recipe(*stores))


@pytest.fixture
def batch(module):
    return module.augment(module.train_stores[0].read(slice(4)))


def test_the_optimizer_is_the_one_that_trains(module, batch, monkeypatch):
    monkeypatch.setattr(
        TrainingModule, "trainer", SimpleNamespace(estimated_stepping_batches=10, world_size=1), raising=False
    )
    theirs = module.configure_optimizers()["optimizer"]
    ours = TrainingStep(module.network, module.task, *batch, settings=module.recipe.optimizer).optimizer
    assert type(ours) is type(theirs)
    for mine, wanted in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert [p.data_ptr() for p in mine["params"]] == [p.data_ptr() for p in wanted["params"]]
        rates = {"lr", "initial_lr"}
        assert {k: v for k, v in mine.items() if k not in rates | {"params"}} == {
            k: v for k, v in wanted.items() if k not in rates | {"params"}
        }


def test_steps_descend(module, batch):
    step = TrainingStep(module.network.train(), module.task, *batch, settings=OptimizerRecipe(final_learning_rate=3e-3))
    losses = [step().item() for _ in range(12)]
    assert losses[-1] < 0.9 * losses[0]


def test_bf16_is_autocast(module, batch):
    network = module.network.train()
    losses = {
        precision: TrainingStep(network, module.task, *batch, precision).forward().item()
        for precision in ("float32", "bf16")
    }
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bf16"] != losses["float32"]
    kinds = []
    handle = network.head.score.conv.register_forward_hook(lambda _, __, output: kinds.append(output.dtype))
    for precision in ("float32", "bf16"):
        TrainingStep(network, module.task, *batch, precision)()
    handle.remove()
    assert kinds == [torch.float32, torch.bfloat16]
