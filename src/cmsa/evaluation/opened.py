"""Weights and the stores that they are to be scored on, opened and found to fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmsa.data.store import CropStore, store_names
from cmsa.data.transforms.preprocess import Preprocess
from cmsa.models.base import BaseNetwork
from cmsa.models.create import load_weights
from cmsa.models.fuse import fuse
from cmsa.models.pretrained import find_weights
from cmsa.runtime.devices import usable_device
from cmsa.runtime.feeding import open_for_evaluation
from cmsa.runtime.preprocess import preprocess_of
from cmsa.tasks import Task, task_of
from cmsa.tasks.task import Network
from cmsa.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What is scored, and on what.

    Attributes:
        recipe: its ``data.validate`` are the stores.
        weights: as they were asked for.
        file: where they lie.
        trained: the network as it was trained.
        network: the same, fused, on ``device``.
        task: decodes and scores.
        preprocess: from crops to images.
        stores: by their names.
        device: where the network runs.
    """

    recipe: Recipe
    weights: str
    file: Path
    trained: BaseNetwork
    network: Network
    task: Task
    preprocess: Preprocess
    stores: dict[str, CropStore]
    device: str

    @property
    def read_files(self) -> list[Path]:
        """What must not be overwritten: the weights and the files of the stores."""
        return [self.file, *(file for store in self.stores.values() for file in store.folder.iterdir())]


def open_evaluation(recipe: Recipe, weights: str, device: str = "cpu") -> Evaluation:
    """Open weights and the validation stores of a recipe.

    Args:
        recipe: its ``data.validate`` are the stores.
        weights: a shipped name, a weights file, a folder or a hub id.
        device: where to run, e.g. ``cpu`` or ``cuda``.

    Raises:
        FileNotFoundError: there are no such weights.
        StoreError: a store is missing or damaged.
        ValueError: the recipe names no validation store, the device cannot be used, or a store does not fit the
            weights.
    """
    if not recipe.data.validate:
        raise ValueError("the recipe names no store in data.validate")
    usable_device(device)
    file = find_weights(weights)
    trained = load_weights(file)
    task = task_of(trained)
    stores = [open_for_evaluation(folder, trained.description) for folder in recipe.data.validate]
    named = dict(zip(store_names(stores), stores, strict=True))
    preprocess = preprocess_of(trained.description)
    return Evaluation(recipe, weights, file, trained, fuse(trained).to(device), task, preprocess, named, device)
