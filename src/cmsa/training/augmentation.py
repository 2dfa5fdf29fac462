"""The augmentation that a recipe asks for, and labels that move with it."""

from __future__ import annotations

import torch
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.data.transforms.augment import AffineRange, AffineSample, Augmentation
from cmsa.data.transforms.degradation import Degradation
from cmsa.data.transforms.mixup import Mixing
from cmsa.data.transforms.randaugment import RandAugment
from cmsa.geometry.affine import compose_affine
from cmsa.metrics.score import Batch
from cmsa.runtime.preprocess import Preprocess
from cmsa.tasks import Task
from cmsa.training.recipe import Recipe


def build_augmentation(recipe: Recipe, store: CropStore, preprocess: Preprocess | None = None) -> Augmentation:
    """The recipe's augmentation for crops of a store, which may have been cut for another input size.

    Raises:
        ValueError: the store's crops have another aspect than the recipe's input, or were neither averaged nor kept
            at a density at which training sees what is scored.
    """
    augment, size = recipe.augment, (recipe.model.input_size[0], recipe.model.input_size[1])
    cut = store.spec.size
    if cut[0] * size[1] != cut[1] * size[0]:
        raise ValueError(f"{store.folder}: was cut for {cut} (HxW), of another aspect than the recipe's {size}")
    density, sampled = store.spec.density * cut[0] / size[0], not store.spec.antialias
    if sampled and density % 2 != 1:
        raise ValueError(
            f"{store.folder}: of crops without antialiasing, kept at {density:g} pixels for each of the input's, "
            f"training would see others than those that are scored: prepare it anew for {size[0]}x{size[1]}"
        )
    affine = AffineRange(
        scale_std=augment.scale_std,
        scale_limits=(augment.scale_limits[0], augment.scale_limits[1]),
        rotation_std=augment.rotation_std,
        rotation_limit=augment.rotation_limit,
        rotation_probability=augment.rotation_probability,
        flip_probability=augment.flip_probability,
        half_body_probability=augment.half_body_probability,
        translation=augment.translation,
        whole_pixels=augment.whole_pixels,
    )
    preprocess = preprocess or Preprocess()
    red, green, blue = preprocess.mean.flatten().tolist()
    return Augmentation(
        size,
        density=density,
        affine=affine,
        brightness=augment.jitter,
        contrast=augment.jitter,
        saturation=augment.jitter,
        erasing_probability=augment.erasing_probability,
        # What was sampled once would be averaged after all.
        supersample=1 if sampled else augment.supersample,
        preprocess=preprocess,
        randaugment=RandAugment(augment.randaugment, fill=(red, green, blue)) if augment.randaugment else None,
        degradation=Degradation(augment.degradation_probability, augment.blur, augment.noise, augment.jpeg)
        if augment.degradation_probability
        else None,
    )


def mixing_of(recipe: Recipe) -> Mixing:
    """How the recipe blends the images of a batch."""
    augment = recipe.augment
    return Mixing(augment.mixup, augment.cutmix, augment.switch)


def augment_labelled(
    batch: Batch, augmentation: Augmentation, task: Task, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor], AffineSample]:
    """What a step of training sees of a batch.

    Args:
        batch: of a training store: ``crops`` and labels.
        augmentation: of the recipe.
        task: says what half bodies are.
        generator: source of every random number.

    Returns:
        Normalised images (B, 3, H, W); the labels as ``Task.encode`` takes them, with ``matrices`` (B, 2, 3) from the
        picture to the image and ``flipped`` (B,); and what was drawn, whose matrices begin in the stored crop.
    """
    images, sample = augmentation(batch["crops"], generator, *task.body_points(batch))
    moved = {"matrices": compose_affine(sample.matrices, batch["matrix"]), "flipped": sample.flipped}
    return images, dict(batch) | moved, sample
