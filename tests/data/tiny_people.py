"""A small COCO data set of synthetic people, its stores, and a recipe that trains on them within a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cmsa.data.prepare import prepare
from cmsa.data.store import CropStore
from cmsa.models import create_model, save_weights
from cmsa.structures import COCO
from cmsa.training.recipe import Recipe

HEIGHT, WIDTH = 90, 130
SIZE = (16, 12)
TINY = {"dims": [8, 16, 16], "depths": [1, 1, 1], "heads": [[1, 1, 1], [1, 1], [1, 1]]}
"""Options that make a very small network of any variant."""


def write_people(folder: Path, pictures: int = 4, each: int = 2) -> tuple[Path, Path]:
    """Annotations and picture folder of ``pictures * each`` people: seventeen dots in a box."""
    images = folder / "images"
    images.mkdir(parents=True)
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.names)}],
    }
    numbers = np.random.default_rng(0)
    for picture in range(pictures):
        pixels = np.full((HEIGHT, WIDTH, 3), 40 + picture, np.uint8)
        name = f"{picture}.png"
        content["images"].append({"id": picture + 1, "file_name": name, "height": HEIGHT, "width": WIDTH})
        for person in range(each):
            x, y, width, height = 5 + 60 * person, 8 + 2 * picture, 45, 60
            points = np.stack([numbers.uniform(x, x + width, 17), numbers.uniform(y, y + height, 17)], axis=1)
            for px, py in points.astype(int):
                pixels[py - 1 : py + 2, px - 1 : px + 2] = 250
            content["annotations"].append(
                {
                    "id": 10 * picture + person + 1,
                    "image_id": picture + 1,
                    "category_id": 1,
                    "bbox": [x, y, width, height],
                    "area": width * height / 2,
                    "iscrowd": 0,
                    "num_keypoints": 17,
                    "keypoints": np.concatenate([points, np.full((17, 1), 2)], axis=1).ravel().tolist(),
                }
            )
        Image.fromarray(pixels).save(images / name)
    annotations = folder / "annotations.json"
    annotations.write_text(json.dumps(content), encoding="utf-8")
    return annotations, images


def people_store(folder: Path, name: str, *, training: bool, size: tuple[int, int] = SIZE, **options: Any) -> CropStore:
    """A store of the people in ``folder``."""
    return prepare(
        "coco",
        folder / name,
        annotations=folder / "annotations.json",
        images=folder / "images",
        size=size,
        training=training,
        progress=False,
        **options,
    )


def train_and_val(folder: Path, pictures: int = 4) -> list[CropStore]:
    """Stores to train and to validate on, and the people in them."""
    write_people(folder, pictures)
    return [people_store(folder, f"{name}.crops", training=name == "train") for name in ("train", "val")]


def tiny_weights(path: Path) -> Path:
    """The weights of a very small network, untrained, always the same."""
    torch.manual_seed(0)
    save_weights(path, create_model("cmsa_n", "pose", SIZE, **TINY))
    return path


def tiny_recipe(train: CropStore, validate: CropStore, **optimizer: Any) -> Recipe:
    """Two batches of four people an epoch, two epochs."""
    recipe = Recipe(title="tiny", seed=3)
    recipe.model.name = "cmsa_n"
    recipe.model.input_size = list(SIZE)
    recipe.model.options = dict(TINY)
    recipe.data.train, recipe.data.validate = [str(train.folder)], [str(validate.folder)]
    settings = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "warmup_epochs": 0.5} | optimizer
    for name, value in settings.items():
        assert hasattr(recipe.optimizer, name)
        setattr(recipe.optimizer, name, value)
    return recipe
