"""A run that was cut, anywhere and by anything, ends as if it had not been."""

from __future__ import annotations

import gc
import signal
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_people import tiny_recipe, train_and_val

from cmsa.models.create import load_weights
from cmsa.models.weights import read_description
from cmsa.training import train as training
from cmsa.training.interruption import Interrupted
from cmsa.training.module import TrainingModule
from cmsa.training.position import Position, position_of
from cmsa.training.recipe import Recipe
from cmsa.training.train import train

OPTIONS = {"accelerator": "cpu", "progress": False}
STEPS, EPOCHS = 4, 3
Cut = Callable[[], None]


@pytest.fixture(scope="module", autouse=True)
def every_step_is_logged() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LOG_EVERY", 1)
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("people")
    stores = train_and_val(folder)
    return tiny_recipe(*stores, ema_decay=0.9, epochs=EPOCHS, batch_size=2, warmup_epochs=1.5)


@pytest.fixture(scope="module")
def unbroken(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("runs") / "unbroken", **OPTIONS)


def test_a_run_that_ended_leaves_neither_its_signals_nor_its_network(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules: list[weakref.ref[TrainingModule]] = []
    plain = TrainingModule.on_train_start

    def noted(module: TrainingModule) -> None:
        modules.append(weakref.ref(module))
        plain(module)

    monkeypatch.setattr(TrainingModule, "on_train_start", noted)
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    train(recipe, tmp_path, **OPTIONS)
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers
    gc.collect()
    assert [module() for module in modules] == [None]


def cut_at(monkeypatch: pytest.MonkeyPatch, where: str, step: int, cut: Cut) -> None:
    """Do something in a training or validation step, when so many steps are done."""
    plain = getattr(TrainingModule, where)

    def method(self: TrainingModule, *arguments: object) -> object:
        if self.global_step == step:
            cut()
        return plain(self, *arguments)

    monkeypatch.setattr(TrainingModule, where, method)


def send(number: int) -> Cut:
    """As the signal would. A true one overflows the small stack of pytest's fault handler once OpenVINO uses AMX."""

    def cut() -> None:
        handler = signal.getsignal(number)
        assert callable(handler)
        handler(number, None)

    return cut


def fail() -> None:
    raise RuntimeError("power cut")


def assert_alike(run: Path, unbroken: Path) -> None:
    for name in ("best", "last"):
        found, expected = (load_weights(folder / f"{name}.safetensors") for folder in (run, unbroken))
        for key, value in expected.state_dict().items():
            assert torch.equal(found.state_dict()[key], value), key
        assert found.description.training["scores"] == expected.description.training["scores"]
        assert found.description == expected.description
    found, expected = (torch.load(folder / "last.ckpt", weights_only=True) for folder in (run, unbroken))
    assert found["global_step"] == expected["global_step"] == STEPS * EPOCHS
    assert found["lr_schedulers"] == expected["lr_schedulers"]
    for key, value in expected["optimizer_states"][0]["state"].items():
        assert torch.equal(found["optimizer_states"][0]["state"][key]["exp_avg"], value["exp_avg"])
    logs = [(folder / "logs" / "metrics.csv").read_text(encoding="utf-8") for folder in (run, unbroken)]
    assert logs[0] == logs[1]


@pytest.mark.parametrize(
    ("where", "step", "number", "position"),
    [
        ("training_step", 5, signal.SIGTERM, Position(1, 2, 2)),
        pytest.param("training_step", 0, signal.SIGINT, Position(0, 1, 3), marks=pytest.mark.slow),
        pytest.param("training_step", 7, signal.SIGTERM, Position(1, 4, 0), marks=pytest.mark.slow, id="last batch"),
        pytest.param("validation_step", 4, signal.SIGINT, Position(0, 4, 0), marks=pytest.mark.slow),
        pytest.param("validation_step", 12, signal.SIGTERM, Position(2, 4, 0), marks=pytest.mark.slow),
    ],
)
def test_a_signal_costs_nothing(
    where: str,
    step: int,
    number: signal.Signals,
    position: Position,
    recipe: Recipe,
    unbroken: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with monkeypatch.context() as patch:
        cut_at(patch, where, step, send(number))
        with pytest.raises(Interrupted, match=rf"{number.name} after \d+ steps?; .*last\.ckpt holds all") as told:
            train(recipe, tmp_path, **OPTIONS)
    assert told.value.exit_code == 128 + number
    assert position_of(torch.load(tmp_path / "last.ckpt", weights_only=True)) == position
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers
    train(recipe, tmp_path, resume=True, **OPTIONS)
    assert_alike(tmp_path, unbroken)


@pytest.mark.parametrize(("step", "left"), [pytest.param(1, 1, marks=pytest.mark.slow), (8, 8)])
def test_a_crash_costs_what_the_last_checkpoint_lacks(
    step: int, left: int, recipe: Recipe, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        cut_at(patch, "training_step", step, fail)
        with pytest.raises(RuntimeError, match="power cut"):
            train(recipe, tmp_path, checkpoint_minutes=0, **OPTIONS)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == left
    train(recipe, tmp_path, resume=True, **OPTIONS)
    assert_alike(tmp_path, unbroken)


def test_a_failing_validation_leaves_the_epoch(
    recipe: Recipe,
    unbroken: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        cut_at(patch, "validation_step", 4, fail)
        with pytest.raises(RuntimeError, match="power cut"):
            train(recipe, tmp_path, **OPTIONS)
    assert "last.ckpt: the run can go on from here with --resume" in capsys.readouterr().err
    assert position_of(torch.load(tmp_path / "last.ckpt", weights_only=True)) == Position(0, 4, 0)
    train(recipe, tmp_path, resume=True, **OPTIONS)
    assert_alike(tmp_path, unbroken)


@pytest.mark.slow
def test_a_finished_run_is_validated_no_more_and_can_be_made_longer(
    recipe: Recipe, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.optimizer.epochs = 2
    try:
        train(recipe, tmp_path, **OPTIONS)
        rows = (tmp_path / "logs" / "metrics.csv").read_text(encoding="utf-8")
        with monkeypatch.context() as patch:
            cut_at(patch, "validation_step", 8, fail)
            train(recipe, tmp_path, resume=True, **OPTIONS)
    finally:
        recipe.optimizer.epochs = EPOCHS
    assert (tmp_path / "logs" / "metrics.csv").read_text(encoding="utf-8") == rows
    train(recipe, tmp_path, resume=True, **OPTIONS)
    longer = (tmp_path / "logs" / "metrics.csv").read_text(encoding="utf-8")
    assert longer.startswith(rows)
    assert longer.count("\n") == (unbroken / "logs" / "metrics.csv").read_text(encoding="utf-8").count("\n")
    assert read_description(tmp_path / "last.safetensors").training["epoch"] == EPOCHS


def test_a_second_run_in_the_folder_is_refused(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def second() -> None:
        with pytest.raises(RuntimeError) as refused:
            train(recipe, tmp_path, **OPTIONS)
        told.append(str(refused.value))

    with monkeypatch.context() as patch:
        cut_at(patch, "training_step", 2, second)
        train(recipe, tmp_path, **OPTIONS)
    assert told == [f"{tmp_path}: another process works in this folder; wait for it or choose another one"]


def test_checkpoints_of_earlier_versions_say_where_they_are() -> None:
    def earlier(epochs: dict[str, int], batches: dict[str, int], last: bool, validated: int) -> Position:
        progress = {"current": batches, "is_last_batch": last}
        loops = {
            "epoch_progress": {"current": epochs},
            "epoch_loop.batch_progress": progress,
            "epoch_loop.val_loop.batch_progress": {"total": {"ready": validated}},
        }
        return position_of({"loops": {"fit_loop": loops}})

    second = {"ready": 2, "processed": 1}
    assert earlier(second, {"ready": 3, "processed": 3, "completed": 2}, False, 0) == Position(1, 3, 1)
    assert earlier(second, {"ready": 4, "processed": 4, "completed": 3}, True, 0) == Position(1, 4, 0)
    assert earlier(second, {"ready": 4, "processed": 4, "completed": 4}, True, 5) == Position(2, 0, 4)
    over = {"ready": 2, "processed": 2}
    assert earlier(over, {"ready": 4, "processed": 4, "completed": 4}, True, 5) == Position(2, 0, 4)
