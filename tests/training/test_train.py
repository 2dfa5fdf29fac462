import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_people import SIZE, tiny_recipe, train_and_val

from cmsa.data.store import StoreError
from cmsa.models.create import load_weights
from cmsa.structures import COCO
from cmsa.training.module import TrainingModule
from cmsa.training.recipe import Recipe
from cmsa.training.train import train

OPTIONS = {"accelerator": "cpu", "progress": False}


def rows(run: Path, column: str) -> list[tuple[int, float]]:
    """(step, value) of a column of the run's CSV."""
    with (run / "logs" / "metrics.csv").open(encoding="utf-8") as file:
        return [(int(row["step"]), float(row[column])) for row in csv.DictReader(file) if row.get(column)]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("people")
    stores = train_and_val(folder)
    return tiny_recipe(*stores, ema_decay=0.9)


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs of two steps."""
    return train(recipe, tmp_path_factory.mktemp("runs") / "tiny", **OPTIONS)


def test_a_run_leaves_weights_logs_and_a_checkpoint(run: Path, recipe: Recipe) -> None:
    assert {path.name for path in run.iterdir()} == {
        "best.safetensors",
        "last.safetensors",
        "last.ckpt",
        "learning_curves.png",
        "logs",
        "recipe.yaml",
        "starts.jsonl",
        "tensorboard",
    }
    for name in ("best", "last"):
        model = load_weights(run / f"{name}.safetensors")
        assert model(torch.zeros(1, 3, *SIZE)).shape == (1, 17, *SIZE)
        training = model.description.training
        assert training["recipe"] == recipe.to_dict()
        assert training["data"] == "train"
        assert "val/AP" in training["scores"]
    assert training["epoch"] == 2
    assert [step for step, _ in rows(run, "val/AP")] == [1, 3]
    # The kept weights are the moving average.
    checkpoint = torch.load(run / "last.ckpt", weights_only=False)
    tensors = load_weights(run / "last.safetensors").state_dict()
    for name, value in tensors.items():
        assert torch.equal(checkpoint["state_dict"][f"average.module.{name}"], value)
    assert checkpoint["global_step"] == 4


def test_a_run_that_may_last_no_time_does_not_claim_weights(
    recipe: Recipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(recipe, tmp_path / "none", max_time="00:00:00:00", **OPTIONS)
    assert not (run / "last.safetensors").exists()
    assert "nothing was validated, no weights are kept" in " ".join(capfd.readouterr().out.split())


def test_without_a_validation_store_the_last_weights_are_kept(
    recipe: Recipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lone = replace(recipe, data=replace(recipe.data, validate=[]))
    run = train(lone, tmp_path / "lone", **OPTIONS)
    assert not (run / "best.safetensors").exists()
    tensors = load_weights(run / "last.safetensors").state_dict()
    checkpoint = torch.load(run / "last.ckpt", weights_only=False)
    assert all(torch.equal(checkpoint["state_dict"][f"average.module.{key}"], tensors[key]) for key in tensors)
    told = capfd.readouterr()
    assert "last.safetensors is the last epoch's" in " ".join(told.out.split())
    assert told.err == ""


def test_it_says_where_it_goes_and_how_it_ended_and_nothing_else(
    recipe: Recipe, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    recipe.optimizer.epochs = 1
    # A name that rich would take for markup.
    train(recipe, tmp_path / "said[/x]", **OPTIONS)
    recipe.optimizer.epochs = 2
    captured = capfd.readouterr()
    first, *_, last = captured.out.strip().splitlines()
    assert first.startswith("training cmsa_n, ")
    assert "8 crops: 1 epoch in batches of 4" in first
    assert first.endswith(str(tmp_path / "said[/x]"))
    assert "2 steps" in " ".join(captured.out.split())  # above a table of 80 columns
    assert "AP50" in captured.out
    assert last.startswith("best val/AP")
    assert captured.err == ""
    assert [str(warning.message) for warning in recwarn if "lightning" in str(warning.filename)] == []


@pytest.mark.parametrize(("size", "fraction", "crops"), [(9, 1.0, 8), (5, 0.5, 4)])
def test_crops_that_fill_no_batch_are_refused_before_anything_is_said_or_written(
    size: int, fraction: float, crops: int, recipe: Recipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    optimizer = replace(recipe.optimizer, batch_size=size)
    large = replace(recipe, optimizer=optimizer, data=replace(recipe.data, fraction=fraction))
    with pytest.raises(ValueError, match=rf"train\.crops: {crops} crops cannot fill one batch of {size}"):
        train(large, tmp_path / "new", **OPTIONS)
    assert capfd.readouterr().out == ""
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_resume_goes_on_from_the_step(run: Path, recipe: Recipe) -> None:
    with pytest.raises(FileExistsError, match="holds a run already"):
        train(recipe, run, **OPTIONS)
    recipe.optimizer.epochs = 3
    try:
        train(recipe, run, resume=True, **OPTIONS)
    finally:
        recipe.optimizer.epochs = 2
    assert torch.load(run / "last.ckpt", weights_only=False)["global_step"] == 6
    assert load_weights(run / "last.safetensors").description.training["epoch"] == 3


def test_an_interrupted_epoch_goes_on_in_the_middle(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of every step, a crash in the fourth; then resumed to the end."""
    step = TrainingModule.training_step

    def crash(self: TrainingModule, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        if self.global_step == 3:
            raise RuntimeError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", crash)
    with pytest.raises(RuntimeError, match="power cut"):
        train(recipe, tmp_path, checkpoint_minutes=0, **OPTIONS)
    assert torch.load(tmp_path / "last.ckpt", weights_only=False)["global_step"] == 3
    seen: list[int] = []

    def watch(self: TrainingModule, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        seen.append(self.global_step)
        return step(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", watch)
    train(recipe, tmp_path, resume=True, **OPTIONS)
    assert seen == [3]
    assert torch.load(tmp_path / "last.ckpt", weights_only=False)["global_step"] == 4


@pytest.mark.parametrize("stopped_at", [2, 3])
def test_a_resumed_run_ends_as_the_unbroken_one(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    """Samples, augmentation and stochastic depth follow from seed and step: at an epoch's end and in its middle."""
    train(recipe, tmp_path / "whole", **OPTIONS)
    step = TrainingModule.training_step

    def crash(self: TrainingModule, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        if self.global_step == stopped_at:
            raise RuntimeError("power cut")
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", crash)
        with pytest.raises(RuntimeError, match="power cut"):
            train(recipe, tmp_path / "broken", checkpoint_minutes=0, **OPTIONS)
    torch.manual_seed(99)
    train(recipe, tmp_path / "broken", resume=True, **OPTIONS)
    whole, broken = (
        torch.load(tmp_path / name / "last.ckpt", weights_only=False)["state_dict"] for name in ("whole", "broken")
    )
    assert whole.keys() == broken.keys()
    assert [key for key, value in whole.items() if not torch.equal(value, broken[key])] == []


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_clipping_goes_with_every_precision(recipe: Recipe, tmp_path: Path, precision: str) -> None:
    recipe.optimizer.epochs, recipe.optimizer.clip_norm = 1, 1.0
    try:
        train(recipe, tmp_path, precision=precision, **OPTIONS)
    finally:
        recipe.optimizer.epochs, recipe.optimizer.clip_norm = 2, 0.0
    assert len(rows(tmp_path, "val/AP")) == 1


@pytest.mark.slow
def test_the_baseline_trains_too(recipe: Recipe, tmp_path: Path) -> None:
    model, recipe.model.name = recipe.model.name, "timm/resnet18"
    options, recipe.model.options = recipe.model.options, {}
    recipe.optimizer.epochs = 1
    try:
        train(recipe, tmp_path, limit_batches=1, precision="bf16-mixed", **OPTIONS)
    finally:
        recipe.model.name, recipe.model.options, recipe.optimizer.epochs = model, options, 2
    assert len(rows(tmp_path, "val/AP")) == 1
    trained = load_weights(tmp_path / "best.safetensors")
    assert trained.description.name == "timm/resnet18"
    assert trained.description.names == COCO.names
    assert (tmp_path / "last.ckpt").is_file()


def test_a_fraction_of_the_samples_and_a_budget(
    recipe: Recipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = replace(recipe.optimizer, samples=12)
    half = replace(recipe, data=replace(recipe.data, fraction=0.5), optimizer=settings)
    run = train(half, tmp_path, **OPTIONS)
    assert "on 4 crops: 3 epochs in batches of 4" in " ".join(capfd.readouterr().out.split())
    assert [step for step, _ in rows(run, "val/AP")] == [0, 1, 2]
    # The schedule has been gone through.
    schedule = torch.load(run / "last.ckpt", weights_only=False)["lr_schedulers"][0]["_last_lr"][0]
    assert schedule == pytest.approx(settings.final_learning_rate)


def test_what_is_learned_is_not_validated_on(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "link.crops").symlink_to(recipe.data.train[0])
    same = replace(recipe, data=replace(recipe.data, validate=[str(tmp_path / "link.crops")]))
    with pytest.raises(ValueError, match=r"link\.crops is in data\.train and in data\.validate"):
        train(same, tmp_path / "run", **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_a_store_that_is_named_often_is_told(recipe: Recipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    often = replace(recipe, data=replace(recipe.data, train=recipe.data.train * 3, validate=[]))
    train(often, tmp_path / "run", limit_batches=1, **OPTIONS)
    assert f"crops ({Path(recipe.data.train[0]).name} x3): " in " ".join(capfd.readouterr().out.split())


def test_steps_that_are_never_reached_are_told(
    recipe: Recipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    epochs = recipe.optimizer.epochs
    steps = replace(recipe.optimizer, schedule="step", step_epochs=[epochs - 1, epochs, 200])
    train(replace(recipe, optimizer=steps), tmp_path / "run", limit_batches=1, **OPTIONS)
    told = " ".join(capfd.readouterr().out.split())
    assert f"optimizer.step_epochs [{epochs}, 200] are never reached" in told


def test_what_is_missing_is_named(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"last\.ckpt: no checkpoint to resume from"):
        train(recipe, tmp_path, resume=True, **OPTIONS)
    missing = Recipe()
    missing.data.train = [str(tmp_path / "none.crops")]
    with pytest.raises(StoreError, match=r"none\.crops: there is no crop store; prepare one first"):
        train(missing, tmp_path, **OPTIONS)
    assert list(tmp_path.iterdir()) == []
