"""Training: one LightningModule and one Trainer for all tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from timm.optim._param_groups import param_groups_weight_decay
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from cmsa.data.augment import AffineRange, Augmentation, compose, normalize, to_images, transform_points
from cmsa.data.batches import store_loader
from cmsa.data.store import CropStore
from cmsa.evaluate import AnyTask, score_of, task_of
from cmsa.kept_weights import BestWeights
from cmsa.models.network import CMSA
from cmsa.models.windows import ceil_divide
from cmsa.recipe import Recipe
from cmsa.starting_point import build_network, describe
from cmsa.tasks.pose import PoseTask

MONITORED = {"pose": ("AP", "max"), "head_pose": ("mae", "min"), "classification": ("top1", "max")}


def build_augmentation(recipe: Recipe, store: CropStore) -> Augmentation:
    """The recipe's augmentation for crops of a store, which may have been cut for another input size."""
    augment, size = recipe.augment, (recipe.model.input_size[0], recipe.model.input_size[1])
    affine = AffineRange(
        scale_std=augment.scale_std,
        scale_limits=(augment.scale_limits[0], augment.scale_limits[1]),
        rotation_std=augment.rotation_std,
        rotation_limit=augment.rotation_limit,
        rotation_probability=augment.rotation_probability,
        flip_probability=augment.flip_probability,
        half_body_probability=augment.half_body_probability,
        translation=augment.translation,
    )
    return Augmentation(
        size,
        density=store.spec.density * store.spec.size[0] / size[0],
        affine=affine,
        brightness=augment.jitter,
        contrast=augment.jitter,
        saturation=augment.jitter,
        erasing_probability=augment.erasing_probability,
        supersample=augment.supersample,
    )


class TrainingModule(LightningModule):
    """A network, its task and its recipe.

    The evaluated and kept weights are the moving average where the recipe asks for one.
    """

    def __init__(self, recipe: Recipe, network: nn.Module, task: AnyTask, train: CropStore, validate: list[CropStore]):
        super().__init__()
        self.recipe, self.network, self.task = recipe, network, task
        decay = recipe.optimizer.ema_decay
        self.average = ModelEmaV3(network, decay=decay, use_warmup=True) if decay else None
        self.augmentation = build_augmentation(recipe, train)
        self.scores = [score_of(task, store) for store in validate]
        self.score_names = [store.folder.stem for store in validate]
        self.generator: torch.Generator | None = None

    @property
    def evaluated(self) -> nn.Module:
        """The network whose scores count."""
        return self.network if self.average is None else self.average.module

    def augment(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Stored crops and labels -> images (B, 3, H, W) and the task's targets."""
        crops = batch["crops"]
        if self.generator is None:
            seed = self.recipe.seed + 1000 * self.global_rank + self.global_step
            self.generator = torch.Generator(crops.device).manual_seed(seed)
        keypoints: Tensor | None = None
        upper_body: Sequence[int] = ()
        if isinstance(self.task, PoseTask):
            points = transform_points(batch["keypoints"][..., :2], batch["matrix"])
            keypoints = torch.cat([points, batch["keypoints"][..., 2:]], dim=2)
            upper_body = self.task.keypoint_set.upper_body
        images, sample = self.augmentation(crops, self.generator, keypoints, upper_body)
        moved = dict(batch) | {"matrices": compose(sample.matrices, batch["matrix"]), "flipped": sample.flipped}
        return images, self.task.encode(moved)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Loss of one batch.

        Raises:
            FloatingPointError: the loss is not finite; the step is named.
        """
        with torch.autocast(self.device.type, enabled=False):
            images, targets = self.augment(batch)
        loss = self.task.loss(self.network(images), targets)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.global_step} (epoch {self.current_epoch}, batch {index}); "
                "the last checkpoint is from before it: resume with a lower learning rate or in float32"
            )
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        """Follow with the moving average."""
        if self.average is not None:
            self.average.update(self.network, step=self.global_step)

    def on_validation_epoch_start(self) -> None:
        """Begin counting."""
        self.evaluated.eval()
        for score in self.scores:
            score.reset()

    def validation_step(self, batch: dict[str, Tensor], index: int, dataloader_idx: int = 0) -> None:
        """Score one batch of a validation store."""
        output = self.evaluated(normalize(to_images(batch["crops"])))
        self.scores[dataloader_idx].update(batch, output.float())

    def on_validation_epoch_end(self) -> None:
        """Log the scores; those of the first store decide which checkpoint is best."""
        if self.trainer.sanity_checking:
            return
        for place, (name, score) in enumerate(zip(self.score_names, self.scores, strict=True)):
            for key, value in score.compute().items():
                if isinstance(value, float):
                    self.log(f"{name}/{key}", value)
                    if place == 0:
                        self.log(f"val/{key}", value, prog_bar=key == MONITORED[self.recipe.model.task][0])

    def configure_optimizers(self) -> Any:
        """AdamW with the recipe's schedule, stepped every batch."""
        settings = self.recipe.optimizer
        tables = {name for name, _ in self.network.named_parameters() if name.endswith(".table")}
        optimizer = torch.optim.AdamW(
            param_groups_weight_decay(self.network, settings.weight_decay, no_weight_decay_list=tables),
            lr=settings.learning_rate,
            fused=True,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: settings.learning_rate_factor(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    devices: int | str = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    max_time: str | None = None,
    compile_network: bool = False,
    progress: bool = True,
    limit_batches: int | None = None,
) -> Path:
    """Train a recipe.

    Args:
        recipe: what to train.
        out: folder for checkpoints, logs (CSV and TensorBoard), ``best.safetensors`` and ``last.safetensors``.
        resume: go on from ``out/last.ckpt``.
        devices: number of GPUs (or processes on CPU).
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        precision: Lightning's name, e.g. ``32-true`` or ``bf16-mixed``.
        max_time: stop after DD:HH:MM:SS.
        compile_network: run the network through ``torch.compile``.
        progress: show a progress bar.
        limit_batches: train on so many batches an epoch only, for a trial.

    Returns:
        ``out``.

    Raises:
        FileNotFoundError: there is no checkpoint to resume from, or no store.
        FileExistsError: ``out`` holds a run already and ``resume`` is off.
    """
    last = out / "last.ckpt"
    if resume and not last.is_file():
        raise FileNotFoundError(f"{last}: no checkpoint to resume from")
    if last.is_file() and not resume:
        raise FileExistsError(f"{out} holds a run already: resume it, or choose another folder")
    seed_everything(recipe.seed, workers=True, verbose=False)
    stores = [CropStore.open(Path(folder)) for folder in recipe.data.train]
    validate = [CropStore.open(Path(folder)) for folder in recipe.data.validate]
    network = build_network(recipe)
    reduction = int(network.reduction)  # type: ignore[arg-type]
    height, width = recipe.model.input_size
    heatmap_size = (ceil_divide(height, reduction), ceil_divide(width, reduction))
    description = describe(recipe, stores[0])
    task = task_of(description, heatmap_size)
    if isinstance(network, CMSA):
        network.description = replace(description, options=network.description.options)
    network = network.to(memory_format=torch.channels_last)
    module = TrainingModule(recipe, network, task, stores[0], validate)
    if compile_network:
        network.compile()
    monitored = MONITORED[recipe.model.task]
    callbacks: list[Callback] = [LearningRateMonitor("step")]
    if validate:
        callbacks.append(BestWeights(out, monitored))
    callbacks.append(ModelCheckpoint(out, save_last=True, save_top_k=0))
    trainer = Trainer(
        max_epochs=recipe.optimizer.epochs,
        devices=devices,
        accelerator=accelerator,
        precision=precision,  # type: ignore[arg-type]
        max_time=max_time,
        gradient_clip_val=recipe.optimizer.clip_norm or None,
        callbacks=callbacks,
        logger=[CSVLogger(out, "logs", version=""), TensorBoardLogger(out, "tensorboard", version="")],
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=20,
        num_sanity_val_steps=0,
        limit_train_batches=limit_batches,
        default_root_dir=out,
    )
    size = recipe.optimizer.batch_size
    trainer.fit(
        module,
        store_loader(stores, size, training=True, workers=recipe.data.workers),
        [store_loader([store], size * 2, training=False) for store in validate],
        ckpt_path=last if resume else None,
    )
    return out
