"""Training: a recipe, one Lightning Trainer for all tasks, and what is left in the run's folder."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from cmsa.data.loader import kept_count
from cmsa.files.lock import only_process_in
from cmsa.guidance.counts import count_of
from cmsa.metrics.table import score_table
from cmsa.runtime.feeding import open_for_evaluation
from cmsa.runtime.memory import keep_freed_memory
from cmsa.tasks import task_of
from cmsa.training.checkpoints import Checkpoints
from cmsa.training.going_on import check_checkpoint
from cmsa.training.half_network import HalfNetwork
from cmsa.training.kept_weights import BestWeights
from cmsa.training.launched import devices_and_nodes
from cmsa.training.metrics_file import MetricsFile
from cmsa.training.module import TrainingModule, training_loader, training_stores
from cmsa.training.quiet import quiet_lightning
from cmsa.training.recipe import Recipe
from cmsa.training.recipe_checks import check_apart, check_recipe
from cmsa.training.run_folder import CURVES, LAST, changed_entries, draw_curves, note_start, refuse_other_run
from cmsa.training.starting_point import build_network, check_antialiasing, check_start, description_of

PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true", "64-true")
SHORT_PRECISIONS = ("32", "bf16", "16", "64")
"""Lightning's other names: mixed where there is a choice."""
CHECKPOINT_MINUTES = 10.0
LOG_EVERY = 20
"""Steps."""


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
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    sync_batchnorm: bool = False,
) -> Path:
    """Train a recipe.

    Args:
        recipe: what to train.
        out: folder for checkpoints, logs (CSV and TensorBoard), ``best.safetensors`` and ``last.safetensors``,
            the recipe as run, a line for each start, and learning curves (see ``cmsa.training.run_folder``).
        resume: go on from ``out/last.ckpt``.
        devices: number of GPUs (or processes on CPU); each takes batches of the recipe's size. Under torchrun as many
            as it has started, on all of its machines.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        precision: one of ``PRECISIONS``. In ``bf16-true`` the network is in bfloat16,
            labels and augmentation in float32.
        max_time: stop after DD:HH:MM:SS.
        compile_network: run the network through ``torch.compile``.
        progress: show a progress bar.
        limit_batches: train on so many batches an epoch only, for a trial.
        checkpoint_minutes: how often ``last.ckpt`` is written, besides at the end of each epoch.
        sync_batchnorm: BatchNorm counts over the batches of all GPUs, as if they were one.

    Returns:
        ``out``.

    Raises:
        FileNotFoundError: there is no checkpoint to resume from.
        FileExistsError: ``out`` holds a run already, or weights or a recipe of another one, and ``resume`` is off.
        StoreError: a store is missing, unfinished or damaged.
        ValueError: the recipe names no store to learn from, a number of it or an option is out of its range, stores
            and model do not fit, a store is learned and validated on, the recipe in ``out`` cannot be read to compare
            it with that of a run to resume, ``sync_batchnorm`` is asked of several processes
            on CPU, or torchrun has started another number of processes.
        FloatingPointError: the loss was not finite.
        FolderInUseError: another process trains into ``out``.
        Interrupted: SIGINT or SIGTERM came; ``out/last.ckpt`` holds all steps that were done.

    Examples:
        >>> from pathlib import Path
        >>> from cmsa.data.prepare import prepare
        >>> from cmsa.training.recipe import load_recipe
        >>> crops = prepare("digits", Path("stores/digits-train.crops"), training=True, progress=False)
        >>> crops = prepare("digits", Path("stores/digits-test.crops"), training=False, progress=False)
        >>> recipe = load_recipe("digits", ["--optimizer.epochs", "1", "--optimizer.batch_size", "8"])
        >>> run = train(recipe, Path("run"), accelerator="cpu", limit_batches=1, progress=False)
        training cmsa_n, ... parameters, on 1,438 crops: 1 epoch in batches of 8, into run
        ...
        >>> sorted(path.name for path in run.glob("*.safetensors"))
        ['best.safetensors', 'last.safetensors']
    """
    check_recipe(recipe)
    check_apart(recipe.data)
    check_options(devices, accelerator, limit_batches, max_time, checkpoint_minutes, precision)
    devices, nodes = devices_and_nodes(devices)
    last = out / "last.ckpt"
    if resume and not last.is_file():
        raise FileNotFoundError(f"{last}: no checkpoint to resume from")
    # The processes of one run share its folder.
    with quiet_lightning(), only_process_in(out) if getattr(rank_zero_only, "rank", 0) == 0 else nullcontext():
        if last.is_file() and not resume:
            raise FileExistsError(f"{out} holds a run already: resume it, or choose another folder")
        if not resume:
            refuse_other_run(recipe, out)
        seed_everything(recipe.seed, workers=True, verbose=False)
        module = build_module(recipe)
        done = check_checkpoint(last, module).epochs if resume else 0
        changes = changed_entries(recipe, out, precision=precision) if resume else []
        if compile_network:
            module.network.compile()
        best = BestWeights(out, module.task.monitored)
        metrics = MetricsFile(out / "logs" / "metrics.csv")
        tensorboard = TensorBoardLogger(out, "tensorboard", version="")
        halved = precision in ("bf16-true", "16-true")
        try:
            trainer = Trainer(
                max_epochs=recipe.optimizer.epochs,  # until the number of processes is known
                devices=devices,
                num_nodes=nodes,
                accelerator=accelerator,
                precision=None if halved else precision,  # type: ignore[arg-type]
                plugins=[HalfNetwork(precision)] if halved else None,  # type: ignore[arg-type]
                sync_batchnorm=sync_batchnorm,
                max_time=max_time,
                gradient_clip_val=recipe.optimizer.clip_norm or None,
                # Checkpoints come first: a learning rate that was logged belongs to a batch that is not done yet.
                callbacks=[Checkpoints(last, checkpoint_minutes), LearningRateMonitor("step"), best],
                logger=[metrics, tensorboard],
                enable_checkpointing=False,
                enable_progress_bar=progress,
                enable_model_summary=False,
                log_every_n_steps=LOG_EVERY,
                num_sanity_val_steps=0,
                default_root_dir=out,
                use_distributed_sampler=False,
            )
        except MisconfigurationException as error:
            raise ValueError(" ".join(str(error).split())) from error
        if trainer.strategy.root_device.type == "cpu":
            if sync_batchnorm and trainer.world_size > 1:
                raise ValueError("sync_batchnorm: PyTorch's BatchNorm of several processes computes on GPUs only")
            keep_freed_memory()
        # Refuses crops that fill no batch before anything is said or written of the run.
        training_loader(recipe, module.train_stores, (trainer.global_rank, trainer.world_size))
        epochs = _set_length(trainer, module, limit_batches)
        if done > epochs:
            raise ValueError(f"{last}: {count_of(done, 'epoch')} are done, which is more than the {epochs} asked for")
        if trainer.is_global_zero:
            note_start(recipe, out, resumed=resume, devices=trainer.num_devices, nodes=nodes, precision=precision)
            tensorboard.log_hyperparams(recipe.to_dict())
            _announce(recipe, module, out, resume, epochs, changes)
        start = time.monotonic()
        _fit(trainer, module, last if resume else None)
        if trainer.is_global_zero:
            draw_curves(metrics.path, out / CURVES, module.task.monitored[0])
            _conclude(module, best, out, trainer.global_step, time.monotonic() - start)
    return out


def check_options(
    devices: int | str,
    accelerator: str,
    limit_batches: int | None,
    max_time: str | None,
    checkpoint_minutes: float,
    precision: str,
) -> None:
    """Refuse options of ``train`` that are out of range, as it does itself."""
    if devices != "auto" and (not isinstance(devices, int) or devices < 1):
        raise ValueError(f"devices must be auto or at least 1, got {devices!r}")
    if accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise ValueError("accelerator gpu: PyTorch finds no GPU on this machine; take cpu or auto")
    if limit_batches is not None and limit_batches < 1:
        raise ValueError(f"limit_batches must be at least 1, got {limit_batches}")
    if max_time is not None and not re.fullmatch(r"\d+:\d\d:\d\d:\d\d", max_time):
        raise ValueError(f"max_time must be DD:HH:MM:SS, e.g. 00:06:30:00, got {max_time!r}")
    if not 0 <= checkpoint_minutes < math.inf:
        raise ValueError(f"checkpoint_minutes must be at least 0, got {checkpoint_minutes}")
    if precision not in PRECISIONS + SHORT_PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")


def _set_length(trainer: Trainer, module: TrainingModule, limit_batches: int | None) -> int:
    """How many epochs the recipe says; they are shorter for a trial."""
    recipe = module.recipe
    kept = kept_count(sum(len(store) for store in module.train_stores), recipe.data.fraction)
    available = kept // trainer.world_size // recipe.optimizer.batch_size
    epochs, batches = recipe.optimizer.epochs_and_batches(max(1, available), trainer.world_size)
    trainer.fit_loop.max_epochs = epochs
    limits = [limit for limit in (batches, limit_batches) if limit is not None]
    if limits:
        trainer.limit_train_batches = min(limits)
    return epochs


def _fit(trainer: Trainer, module: TrainingModule, checkpoint: Path | None) -> None:
    try:
        trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        # What Lightning makes of a signal before the first batch, and of a second one.
        raise KeyboardInterrupt from error


def build_module(recipe: Recipe) -> TrainingModule:
    """The recipe's network, task and stores, ready for a Trainer. Errors are those of ``train``."""
    stores = training_stores(recipe)
    check_antialiasing(recipe, stores[0])
    description = description_of(recipe, stores[0])
    validate = [open_for_evaluation(folder, description) for folder in recipe.data.validate]
    if recipe.model.init:
        check_start(recipe, stores[0])
    network = build_network(recipe, description.options)
    own = network.description
    network.description = replace(description, options=own.options, mean=own.mean, std=own.std)
    task = task_of(network)
    # Channels last is what convolutions are fastest with, on CPU and GPU.
    return TrainingModule(recipe, network.to(memory_format=torch.channels_last), task, stores, validate)


def _announce(recipe: Recipe, module: TrainingModule, out: Path, resume: bool, epochs: int, changes: list[str]) -> None:
    from rich.console import Console

    crops = kept_count(sum(len(store) for store in module.train_stores), recipe.data.fraction)
    parameters = sum(parameter.numel() for parameter in module.network.parameters())
    size = recipe.optimizer.batch_size
    length = count_of(epochs, "epoch")
    # A trial of few epochs, or a mistake: the rate stays where it is.
    stepped = recipe.optimizer.schedule == "step"
    late = [epoch for epoch in recipe.optimizer.step_epochs if stepped and epoch >= epochs]
    counts = Counter(recipe.data.train)
    often = ", ".join(f"{Path(folder).name} x{count}" for folder, count in counts.items() if count > 1)
    Console(soft_wrap=True).print(
        f"{'resuming' if resume else 'training'} {recipe.model.name}, {parameters:,} parameters, "
        f"on {count_of(crops, 'crop')}{often and f' ({often})'}: {length} in batches of {size}, into {out}"
        + (f"; other than before: {', '.join(changes)}" if changes else "")
        + (f"; optimizer.step_epochs {late} are never reached" if late else ""),
        highlight=False,
        markup=False,
    )


def _conclude(module: TrainingModule, best: BestWeights, out: Path, steps: int, seconds: float) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True)
    told = f"{out}: {count_of(steps, 'step')}, {timedelta(seconds=round(seconds))} since the last start"
    if module.latest:
        # A title that is longer than the terminal is wide goes on below, where soft wrapping would cut it.
        console.print(score_table(module.latest, told), soft_wrap=False)
    else:
        last = out / LAST
        kept = f"{last} is the last epoch's" if last.is_file() else "no weights are kept"
        console.print(f"{told}; nothing was validated, {kept}", highlight=False, markup=False)
    if best.file.is_file():
        console.print(f"best {best.key} {best.score:.4f}: {best.file}", highlight=False, markup=False)
