"""What happens in one training step and one validation, for all tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cmsa.data.loader import EpochSampler, store_loader
from cmsa.data.store import CropStore, store_names
from cmsa.models.description import Description
from cmsa.models.network import constant_buffers
from cmsa.runtime.feeding import check_alike, open_store
from cmsa.runtime.preprocess import Preprocess, preprocess_of
from cmsa.tasks import Task
from cmsa.training.augmentation import augment_labelled, build_augmentation, mixing_of
from cmsa.training.position import Position, position_of
from cmsa.training.recipe import Recipe
from cmsa.training.teacher import Teacher

TAUGHT = "taught/"
"""What a teacher says stands in the targets under names that begin so."""

NO_STEP = 2**62
CHECKED_EVERY = 20
"""Steps between two looks at the loss on a GPU."""


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of one step's random numbers in one process, so that a resumed run draws what the unbroken one draws."""
    digest = hashlib.blake2b(f"{seed} {step} {rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def build_optimizer(
    network: nn.Module, weight_decay: float, learning_rate: float, fused: bool = True
) -> torch.optim.AdamW:
    """AdamW; biases, norms and what the network's ``no_weight_decay`` names do not decay."""
    kept: Callable[[], set[str]] = getattr(network, "no_weight_decay", set)
    groups = param_groups_weight_decay(network, weight_decay, no_weight_decay_list=kept())
    return torch.optim.AdamW(groups, lr=learning_rate, fused=fused)


def training_stores(recipe: Recipe) -> list[CropStore]:
    """The stores that a recipe learns from.

    Raises:
        StoreError: one is missing, unfinished or damaged.
        ValueError: the recipe names none, or they differ.
    """
    if not recipe.data.train:
        raise ValueError("the recipe names no store in data.train: make one with `cmsa prepare`")
    stores = [open_store(folder, recipe.model.task) for folder in recipe.data.train]
    check_alike(stores)
    return stores


def training_loader(
    recipe: Recipe, stores: list[CropStore], shard: tuple[int, int] = (0, 1)
) -> DataLoader[dict[str, Tensor]]:
    """Batches of stored crops in the order in which a process learns from them.

    Args:
        recipe: says the batch, the seed, and which samples are seen, and how often.
        stores: to learn from.
        shard: number of the process and how many there are.
    """
    return store_loader(
        stores,
        recipe.optimizer.batch_size,
        training=True,
        workers=recipe.data.workers,
        shard=shard,
        seed=recipe.seed,
        fraction=recipe.data.fraction,
        repeats=recipe.augment.repeats,
    )


class TrainingModule(LightningModule):
    """A network, its task, its recipe and its stores.

    The evaluated and kept weights are the moving average where the recipe asks for one and does not say otherwise.

    Args:
        recipe: what to train.
        network: images (B, 3, H, W) -> output.
        task: encodes targets, scores and decodes the output.
        train: stores to learn from.
        validate: stores to score; the first one's score decides which weights are best.
    """

    def __init__(
        self, recipe: Recipe, network: nn.Module, task: Task, train: list[CropStore], validate: list[CropStore]
    ) -> None:
        super().__init__()
        self.recipe, self.network, self.task = recipe, network, task
        self.train_stores, self.validate_stores = train, validate
        decay = recipe.optimizer.ema_decay
        # Several processes wait for the gradient of every parameter that claims to have one.
        self.average = ModelEmaV3(network, decay=decay, use_warmup=True).requires_grad_(False) if decay else None
        # A network that was not made for our weights files says nothing of its images: they are ImageNet's.
        description = getattr(network, "description", None)
        self.preprocess = preprocess_of(description) if isinstance(description, Description) else Preprocess()
        self.augmentation = build_augmentation(recipe, train[0], self.preprocess)
        self.scores = [task.score(store) for store in validate]
        self.teacher = Teacher(recipe.teacher, task, recipe.model.size) if recipe.teacher.weights else None
        self.latest: dict[str, dict[str, Any]] = {}
        """The scores of the latest validation, by data set."""
        self.generator: torch.Generator | None = None
        self.begin = Position(0, 0, 0)
        """Where the first epoch begins: a resumed run goes on in the middle of it."""
        self.first_bad_step: Tensor
        self.register_buffer("first_bad_step", torch.full((), NO_STEP), persistent=False)

    @property
    def evaluated(self) -> nn.Module:
        """The network whose scores count, and whose weights are kept."""
        scored = self.recipe.optimizer.scored_weights
        return self.network if self.average is None or scored == "network" else self.average.module

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Each process reads its own part of an epoch; a resumed epoch goes on with what is left of it."""
        size, shard = self.recipe.optimizer.batch_size, (self.trainer.global_rank, self.trainer.world_size)
        loader = training_loader(self.recipe, self.train_stores, shard)
        assert isinstance(loader.sampler, EpochSampler)
        # Processes that read begin before Lightning says which epoch it is.
        loader.sampler.set_epoch(self.begin.epochs)
        loader.sampler.skip(self.begin.batches * size if self.begin.left else 0)
        return loader

    def val_dataloader(self) -> list[DataLoader[dict[str, Tensor]]]:
        """Each process scores everything: an average precision cannot be put together from parts."""
        size = self.recipe.optimizer.batch_size * 2
        return [store_loader([store], size, training=False) for store in self.validate_stores]

    def augment(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Stored crops and labels -> images (B, 3, H, W) and the task's targets."""
        crops = batch["crops"]
        seed = step_seed(self.recipe.seed, self.global_step, self.global_rank)
        self.generator = self.generator or torch.Generator(crops.device)
        self.generator.manual_seed(seed)
        # Stochastic depth draws from PyTorch's own generator.
        torch.manual_seed(seed)
        images, moved, sample = augment_labelled(batch, self.augmentation, self.task, self.generator)
        mixing, state = mixing_of(self.recipe), self.generator.get_state() if self.teacher else None
        mixed, targets = self.task.mix(images, self.task.encode(moved), mixing, self.generator)
        if self.teacher is not None and state is not None:
            taught = self.task.encode(self.teacher.labels(moved["crops"], sample.matrices))
            # Drawn as the labels were, the teacher's are blended with the same partners.
            self.generator.set_state(state)
            _, taught = self.task.mix(images, taught, mixing, self.generator)
            targets |= {f"{TAUGHT}{name}": value for name, value in taught.items()}
        return mixed, targets

    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """The task's loss of an output (B, ...), by the labels and, where there is one, by the teacher."""
        loss, share = self.task.loss(output, targets), self.recipe.teacher.share
        if self.teacher is None:
            return loss
        taught = {name.removeprefix(TAUGHT): value for name, value in targets.items() if name.startswith(TAUGHT)}
        return (1 - share) * loss + share * self.task.loss(output, taught)

    def fed(self, images: Tensor) -> Tensor:
        """Images in the precision of the network's weights, which is float32 but in ``bf16-true``."""
        return images.to(next(self.network.parameters()).dtype)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Loss of one batch.

        Raises:
            FloatingPointError: the loss is not finite; the step is named.
        """
        with torch.autocast(self.device.type, enabled=False):
            images, targets = self.augment(batch)
        loss = self.loss(self.network(self.fed(images)), targets)
        bad = torch.where(torch.isfinite(loss.detach()), NO_STEP, self.global_step)
        self.first_bad_step = torch.minimum(self.first_bad_step, bad)
        # To look at a number makes a GPU wait, so it is looked at now and then.
        if self.device.type == "cpu" or self.global_step % CHECKED_EVERY == 0:
            self.stop_if_not_finite()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def stop_if_not_finite(self) -> None:
        """Stop, in all processes, if the loss of any of them was not finite.

        Raises:
            FloatingPointError: it was; the first such step is named.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.first_bad_step, torch.distributed.ReduceOp.MIN)
        step = int(self.first_bad_step)
        if step != NO_STEP:
            raise FloatingPointError(
                f"the loss is not finite at step {step} (epoch {self.current_epoch}); "
                "no checkpoint is from behind it: resume, or begin anew, with a lower learning rate or in float32"
            )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning asks for the samples before it sets its own counters."""
        self.begin = position_of(checkpoint)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What is written is from before a loss that is not finite."""
        self.stop_if_not_finite()

    @property
    def _ddp_params_and_buffers_to_ignore(self) -> list[str]:
        """What DistributedDataParallel need not send from process to process before each step: constants."""
        return constant_buffers(self)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Follow with the moving average, at once: a checkpoint is written before ``on_train_batch_end``."""
        super().optimizer_step(*arguments, **options)
        if self.average is not None:
            self.average.update(self.network, step=self.global_step + 1)

    def on_validation_epoch_start(self) -> None:
        """Begin counting."""
        self.evaluated.eval()
        for score in self.scores:
            score.reset()

    def validation_step(self, batch: dict[str, Tensor], index: int, dataloader_idx: int = 0) -> None:
        """Score one batch of a validation store."""
        images = self.preprocess(batch["crops"])
        self.scores[dataloader_idx].update(batch, self.task.predict(self.evaluated, self.fed(images)))

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        names = store_names(self.validate_stores)
        self.latest = {name: score.compute() for name, score in zip(names, self.scores, strict=True)}
        # Those of the first store come last, under a name that does not depend on it.
        prefixed = [*self.latest.items(), ("val", next(iter(self.latest.values()), {}))]
        logged = {f"{name}/{key}": value for name, row in prefixed for key, value in row.items()}
        decisive = f"val/{self.task.monitored[0]}"
        for key, value in logged.items():
            if isinstance(value, float):
                self.log(key, value, prog_bar=key == decisive)

    def configure_optimizers(self) -> Any:
        """AdamW with the recipe's schedule, stepped every batch."""
        settings = self.recipe.optimizer.scaled(self.trainer.world_size)
        # Lightning will not clip gradients that a fused optimizer scales itself, as it may in mixed precision.
        fused = not (settings.clip_norm and "mixed" in str(self.trainer.precision))
        optimizer = build_optimizer(self.network, settings.weight_decay, settings.learning_rate, fused)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: settings.learning_rate_factor(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
