"""A run is resumed from a checkpoint of its own, or nothing of it is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_people import tiny_recipe, train_and_val

from cmsa.training.recipe import Recipe
from cmsa.training.run_folder import changed_entries
from cmsa.training.train import train


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return tiny_recipe(*train_and_val(tmp_path_factory.mktemp("people")), epochs=1)


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("run") / "run", accelerator="cpu", progress=False)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "zeros", "other"])
def test_a_damaged_checkpoint_is_told_and_nothing_is_touched(
    damage: str, run: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = run / "last.ckpt"
    good = checkpoint.read_bytes()
    try:
        if damage == "other":
            torch.save({"state_dict": {}, "epoch": 3}, checkpoint)
        else:
            content = {"cut": good[: len(good) // 2], "text": b"text", "empty": b"", "zeros": bytes(1000)}[damage]
            checkpoint.write_bytes(content)
        before = files(run)
        with pytest.raises(
            ValueError, match=r"last\.ckpt: cannot be read, it is damaged or no checkpoint of cmsa train"
        ):
            train(recipe, run, resume=True, accelerator="cpu", progress=False)
        assert files(run) == before
    finally:
        checkpoint.write_bytes(good)
    told = capsys.readouterr()
    assert told.out + told.err == ""


def test_a_checkpoint_of_another_network_is_told(run: Path, recipe: Recipe) -> None:
    before = files(run)
    other = replace(recipe, model=replace(recipe.model, options=recipe.model.options | {"dims": [16, 16, 16]}))
    with pytest.raises(ValueError, match=r"last\.ckpt: is of another network than the recipe's, \d+ of \d+ tensors"):
        train(other, run, resume=True, accelerator="cpu", progress=False)
    assert files(run) == before


@pytest.mark.parametrize("content", ["title: näher".encode("latin-1"), b"title: [", b"titel: mine"])
def test_a_recipe_that_cannot_be_compared_is_told_and_stays(content: bytes, run: Path, recipe: Recipe) -> None:
    file = run / "recipe.yaml"
    good = file.read_bytes()
    try:
        file.write_bytes(content)
        before = files(run)
        with pytest.raises(ValueError, match=r"run/recipe\.yaml.*; mend it, or remove it to go on whatever"):
            train(recipe, run, resume=True, accelerator="cpu", progress=False)
        assert files(run) == before
    finally:
        file.write_bytes(good)


def test_what_changed_since_the_last_start_is_told(
    run: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    assert changed_entries(recipe, run) == []
    longer = replace(recipe, optimizer=replace(recipe.optimizer, epochs=2, batch_size=2))
    assert changed_entries(longer, run) == ["optimizer.epochs 1 -> 2", "optimizer.batch_size 4 -> 2"]
    train(longer, run, resume=True, accelerator="cpu", progress=False)
    told = " ".join(capsys.readouterr().out.split())
    assert "other than before: optimizer.epochs 1 -> 2, optimizer.batch_size 4 -> 2" in told
    (run / "recipe.yaml").unlink()
    assert changed_entries(longer, run) == []


def test_fewer_epochs_than_are_done_are_told(run: Path, recipe: Recipe) -> None:
    """The run of two epochs that the test above leaves."""
    before = files(run)
    with pytest.raises(ValueError, match=r"last\.ckpt: 2 epochs are done, which is more than the 1 asked for"):
        train(recipe, run, resume=True, accelerator="cpu", progress=False)
    assert files(run)[run / "last.ckpt"] == before[run / "last.ckpt"]
    assert files(run)[run / "starts.jsonl"] == before[run / "starts.jsonl"]
