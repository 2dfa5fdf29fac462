"""Every task on a CUDA device: train, resume, evaluate, predict, fuse, compile, export, and a step without a wait.

Without a device these are skipped. ``-m exhaustive`` runs the same steps on the CPU, so that what they do is known.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_classes import write_cifar10
from tiny_faces import write_faces
from tiny_people import TINY, people_store, tiny_recipe, write_people

from cmsa import Predictor, fuse
from cmsa.cli.main import main
from cmsa.data.store import CropStore
from cmsa.evaluation.evaluate import evaluate_recipe
from cmsa.export import export
from cmsa.models.create import load_weights
from cmsa.training.recipe import Recipe
from cmsa.training.train import build_module, train

NEEDS_CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
DEVICES = [pytest.param("cpu", marks=pytest.mark.exhaustive), pytest.param("cuda", marks=NEEDS_CUDA)]
TASKS = ("pose", "head_pose", "classification")


def prepared(folder: Path, dataset: dict[str, str], images: Path, *more: str) -> list[CropStore]:
    stores = []
    for purpose, name in dataset.items():
        arguments = ["prepare", "--dataset", name, "--for", purpose, "--images", str(images), *more]
        assert main([*arguments, "--out", str(folder / f"{purpose}.crops")]) == 0
        stores.append(CropStore.open(folder / f"{purpose}.crops"))
    return stores


@pytest.fixture(scope="module", params=TASKS)
def recipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Two epochs of two batches."""
    folder, task = tmp_path_factory.mktemp(request.param), request.param
    if task == "pose":
        write_people(folder)
        stores = [people_store(folder, f"{name}.crops", training=name == "train") for name in ("train", "val")]
    elif task == "head_pose":
        names = {"train": "300w-lp", "evaluate": "aflw2000"}
        stores = prepared(folder, names, write_faces(folder / "faces"), "--size", "16x16")
    else:
        write_cifar10(folder)
        stores = prepared(folder, {"train": "cifar10", "evaluate": "cifar10"}, folder)
    recipe = tiny_recipe(*stores, ema_decay=0.9, clip_norm=1.0)
    recipe.model.task, recipe.model.options = task, dict(TINY)
    recipe.model.input_size = list(stores[0].spec.size)
    recipe.augment.jitter, recipe.augment.erasing_probability = 0.2, 0.5
    recipe.augment.mixup = 0.4 if task == "classification" else 0.0
    return recipe


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_train_resume_evaluate_predict_fuse_export(recipe: Recipe, device: str, precision: str, tmp_path: Path) -> None:
    options = {"accelerator": "gpu" if device == "cuda" else "cpu", "progress": False, "precision": precision}
    recipe.optimizer.epochs = 1
    try:
        train(recipe, tmp_path / "run", **options)
    finally:
        recipe.optimizer.epochs = 2
    train(recipe, tmp_path / "run", resume=True, **options)
    steps = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["global_step"]
    assert steps == 2 * (len(CropStore.open(recipe.data.train[0])) // 4)
    weights = tmp_path / "run" / "last.safetensors"
    here, there = (evaluate_recipe(recipe, str(weights), device=where, flip_test=True) for where in ("cpu", device))
    for name, scores in here.items():
        for key, value in scores.items():
            if isinstance(value, float):
                assert there[name][key] == pytest.approx(value, rel=0.02, abs=0.02), key
    model = load_weights(weights)
    height, width = model.input_size
    picture = np.random.default_rng(0).integers(0, 256, (2 * height, 2 * width, 3), dtype=np.uint8)
    images = torch.rand(3, 3, height, width)
    with torch.no_grad():
        expected = model(images)
        moved = fuse(load_weights(weights).to(device))
        torch.testing.assert_close(moved(images.to(device)).cpu(), expected, rtol=1e-2, atol=1e-2)
    assert len(Predictor(load_weights(weights), device=device)(picture)) == 1
    export(load_weights(weights).to(device), tmp_path / "model.pt2")


@pytest.mark.parametrize("device", DEVICES)
def test_a_compiled_network_trains(recipe: Recipe, device: str, tmp_path: Path) -> None:
    recipe.optimizer.epochs = 1
    try:
        accelerator = "gpu" if device == "cuda" else "cpu"
        train(recipe, tmp_path, accelerator=accelerator, progress=False, compile_network=True, limit_batches=1)
    finally:
        recipe.optimizer.epochs = 2
    assert (tmp_path / "last.ckpt").is_file()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_step_does_not_wait_for_the_device(recipe: Recipe, device: str, precision: torch.dtype) -> None:
    module = build_module(recipe).to(device)
    module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    batch = {name: value.to(device) for name, value in CropStore.open(recipe.data.train[0]).read(slice(4)).items()}
    optimizer = torch.optim.AdamW(module.network.parameters(), fused=True)

    def step(index: int) -> None:
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            loss = module.training_step(batch, index)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    # Kernels are chosen and constants are copied in the first.
    step(0)
    step(1)
    module.stop_if_not_finite = lambda: None  # type: ignore[method-assign]
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        step(2)
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert int(module.first_bad_step) > 2
