"""What there is to learn from, to be looked at: crops of a store, or of a recipe what its training sees."""

from __future__ import annotations

import numpy as np
import torch

from cmsa.data.store import CropStore
from cmsa.metrics.score import Decoded
from cmsa.tasks import Task, task_named
from cmsa.training.augmentation import augment_labelled, build_augmentation, mixing_of
from cmsa.training.module import step_seed, training_loader, training_stores
from cmsa.training.recipe import ModelRecipe, Recipe
from cmsa.training.starting_point import description_of
from cmsa.visualization.annotate import annotate_crop
from cmsa.visualization.gallery import Case, draw_gallery
from cmsa.visualization.panel import Picture


def view_store(store: CropStore, count: int, seed: int = 0) -> Picture:
    """Crops as a store keeps them, with their labels.

    Args:
        store: of any task, for training or for evaluation.
        count: of crops, or all that there are.
        seed: draws them.

    Returns:
        The sheet, (H, W, 3) uint8 RGB; each crop is named by its place in the store.

    Raises:
        ValueError: the crops have not the labels of the store's task.
        NotImplementedError: the task does not say what its labels look like.

    Examples:
        >>> from pathlib import Path
        >>> from cmsa.data.prepare import prepare
        >>> store = prepare("digits", Path("digits.crops"), training=False, progress=False)
        >>> sheet = view_store(store, count=6)
        >>> sheet.dtype, sheet.shape[2]
        (dtype('uint8'), 3)
    """
    model = ModelRecipe(task=store.meta.get("task", ModelRecipe.task), input_size=list(store.spec.size))
    task = _task(Recipe(model=model), store)
    places = np.sort(np.random.default_rng(seed).permutation(len(store))[:count])
    batch = store.read(places)
    try:
        labels = task.truth(batch)
    except KeyError as error:
        raise ValueError(
            f"{store.folder}: its crops have no label {error}, which the task {task.name} needs"
        ) from error
    cases = _cases(task, batch["crops"].numpy(), labels, [str(place) for place in places])
    height, width = store.spec.store_size
    heading = f"crops of {height}x{width} pixels, by their places in the store"
    return draw_gallery({heading: cases}, f"{store.folder}: {len(cases):,} of {len(store):,}")


def view_recipe(recipe: Recipe, count: int, name: str = "") -> Picture:
    """What the first steps of a training see: its stores' crops after the augmentation, and their labels.

    Crops, order and random numbers are those of a training with this recipe, whose ``seed`` draws them, in one process.
    What a teacher would say beside the labels is not shown.

    Args:
        recipe: what would be trained; no network is made.
        count: of images.
        name: of the recipe, for the title.

    Returns:
        The sheet, (H, W, 3) uint8 RGB; images that were mirrored say so.

    Raises:
        StoreError: a store is missing or damaged.
        ValueError: the recipe names no store, or its stores do not fit it or fill no batch.
        NotImplementedError: the task does not say what its labels look like.

    Examples:
        >>> from pathlib import Path
        >>> from cmsa.data.prepare import prepare
        >>> from cmsa.training.recipe import load_recipe
        >>> store = prepare("digits", Path("stores/digits-train.crops"), training=True, progress=False)
        >>> sheet = view_recipe(load_recipe("digits", ["--augment.jitter", "0.3"]), count=6)
        >>> sheet.dtype, sheet.shape[2]
        (dtype('uint8'), 3)
    """
    stores = training_stores(recipe)
    task, mixing = _task(recipe, stores[0]), mixing_of(recipe)
    augmentation, generator = build_augmentation(recipe, stores[0]), torch.Generator()
    preprocess = augmentation.preprocess
    cases: list[Case] = []
    for step, batch in enumerate(training_loader(recipe, stores)):
        generator.manual_seed(step_seed(recipe.seed, step, 0))
        images, moved, sample = augment_labelled(batch, augmentation, task, generator)
        images, targets = task.mix(images, task.encode(moved), mixing, generator)
        shown = (images * preprocess.std + preprocess.mean).clamp(0, 1)
        pixels = (255 * shown).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        notes = ["mirrored" if mirrored else "" for mirrored in sample.flipped.tolist()]
        cases += _cases(task, pixels, task.augmented_truth(moved, targets), notes, top=2 if mixing else 1)
        if len(cases) >= count:
            break
    height, width = recipe.model.input_size
    heading = f"images of {height}x{width} pixels, augmented, in the order of training (seed {recipe.seed})"
    return draw_gallery({heading: cases[:count]}, name or recipe.title)


def _task(recipe: Recipe, store: CropStore) -> Task:
    """The recipe's task, without its network: what labels mean does not depend on the size of the maps."""
    description = description_of(recipe, store)
    return task_named(description.task).from_description(description, description.input_size)


def _cases(task: Task, crops: Picture, labels: Decoded, notes: list[str], top: int = 1) -> list[Case]:
    """A picture of each of the crops (B, H, W, 3), and below it the label in words and the note."""
    values = task.values_in_crops(labels, (crops.shape[1], crops.shape[2]))
    cases = []
    for crop, value, note in zip(crops, values, notes, strict=True):
        told = "  ".join(filter(None, (task.label_in_words(value, top), note)))
        cases.append(Case((annotate_crop(crop, value, top=0),), told))
    return cases
