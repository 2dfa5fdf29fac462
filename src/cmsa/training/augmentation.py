"""The augmentation that a recipe asks for, and labels that move with it."""

from __future__ import annotations

import torch
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.data.transforms.affine import AffineRange, AffineSample
from cmsa.data.transforms.augment import Augmentation
from cmsa.data.transforms.degradation import Degradation
from cmsa.data.transforms.mixup import Mixing
from cmsa.data.transforms.randaugment import RandAugment
from cmsa.data.transforms.truncation import truncate
from cmsa.geometry.affine import apply_affine, compose_affine
from cmsa.geometry.constants import constant
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
    augment, size = recipe.augment, recipe.model.size
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
        truncation=augment.truncation_probability,
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
        picture to the image and ``flipped`` (B,), with ``crops`` and ``keypoints`` as the truncation left them; and
        what was drawn, whose matrices begin in the stored crop.

    Raises:
        ValueError: bodies are to be cut, and the task has none.
    """
    (points, upper_body), regions = task.body_points(batch), None
    if augmentation.truncation:
        if points is None:
            raise ValueError(f"augment.truncation_probability: {task.name} has no keypoints that tell what is cut off")
        batch, regions = _truncated(batch, points, augmentation, generator)
        points = torch.cat([points[..., :2], batch["keypoints"][..., 2:]], dim=-1)
    images, sample = augmentation(batch["crops"], generator, points, upper_body, regions)
    moved = {"matrices": compose_affine(sample.matrices, batch["matrix"]), "flipped": sample.flipped}
    return images, dict(batch) | moved, sample


def _truncated(
    batch: Batch, points: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Batch, Tensor]:
    """The batch with parts of bodies cut off, and the regions (B, 3) of ``sample_affine`` around what is left."""
    crops, matrix, box = batch["crops"], batch["matrix"].float(), batch["box"].float()
    # Stored crops are neither turned nor mirrored: a box stays a box.
    whole = torch.cat(
        [apply_affine(matrix, box[:, None, :2])[:, 0], box[:, 2:] * matrix[..., :2].diagonal(dim1=1, dim2=2)], dim=1
    )
    left = truncate(crops, whole, points, augmentation.truncation, generator)
    height, width = augmentation.size
    extents = [torch.maximum(boxes[:, 2] / width, boxes[:, 3] / height) for boxes in (left.boxes, whole)]
    middle = constant([(crops.shape[2] - 1) / 2, (crops.shape[1] - 1) / 2], matrix)
    center = torch.where(left.cut[:, None], left.boxes[:, :2] + left.boxes[:, 2:] / 2, middle)
    step = augmentation.density * torch.where(left.cut, extents[0] / extents[1], torch.ones_like(extents[0]))
    keypoints = torch.where(left.seen[..., None], batch["keypoints"], torch.zeros_like(batch["keypoints"]))
    return dict(batch) | {"crops": left.crops, "keypoints": keypoints}, torch.cat([center, step[:, None]], dim=1)
