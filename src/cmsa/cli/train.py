"""``cmsa train``."""

from __future__ import annotations

import argparse
from pathlib import Path

from cmsa.cli.arguments import parse_count, parse_folder, parse_threads

TEXT = "Train a recipe; any of its entries can be overridden, e.g. --optimizer.epochs 10."
EXAMPLES = """
examples:
  cmsa train digits
  cmsa train pose_lspet_cmsa_n_32x24 --optimizer.epochs 40 --out runs/longer
  cmsa train runs/longer/recipe.yaml --out runs/longer --resume
  cmsa train mine.yaml --model.init cmsa_n_pose_32x24 \\
      --optimizer.learning_rate 5e-4
"""
TAKES_OVERRIDES = True
TRAINING_OPTIONS = (
    "devices",
    "accelerator",
    "precision",
    "sync_batchnorm",
    "max_time",
    "compile",
    "threads",
    "limit_batches",
    "checkpoint_minutes",
)
"""What ``cmsa sweep`` hands on."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped recipe")
    parser.add_argument("--out", type=parse_folder, help="folder of the run; by default runs/RECIPE")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--no-progress", dest="progress", action="store_false", help="no progress bar")
    add_training_options(parser)


def add_training_options(parser: argparse._ActionsContainer) -> None:
    """How a training runs, whatever it trains: ``TRAINING_OPTIONS``."""
    parser.add_argument("--devices", default="1", help="number of GPUs, or auto; torchrun's, under it")
    parser.add_argument("--accelerator", default="auto", choices=["auto", "cpu", "gpu"])
    parser.add_argument("--precision", default="32-true", help="32-true, bf16-mixed, bf16-true, 16-mixed, 16-true")
    parser.add_argument("--sync-batchnorm", action="store_true", help="BatchNorm counts over all GPUs")
    parser.add_argument("--max-time", help="stop after DD:HH:MM:SS")
    parser.add_argument("--compile", action="store_true", help="run the network through torch.compile")
    parser.add_argument("--threads", type=parse_threads, help="CPU threads")
    parser.add_argument("--limit-batches", type=parse_count, help="train on so many batches an epoch only")
    parser.add_argument("--checkpoint-minutes", type=float, default=10, help="how often to write the last checkpoint")


def written(options: argparse.Namespace) -> list[Path]:
    """The files that it writes, but for the recipe: that of a run's folder may be the one that is trained."""
    from cmsa.training.run_folder import LAST

    return [_folder(options) / name for name in ("best.safetensors", LAST, "last.ckpt")]


def _folder(options: argparse.Namespace) -> Path:
    return options.out or Path("runs") / Path(options.recipe).stem


def checked_devices(options: argparse.Namespace) -> int | str:
    """The devices; all options of ``add_training_options`` are checked, before stores are made, which takes long.

    Raises:
        ValueError: one is out of its range.
    """
    from cmsa.training.train import check_options

    if options.devices != "auto" and not options.devices.isdecimal():
        raise ValueError(f"--devices must be a number or auto, got {options.devices!r}")
    devices = options.devices if options.devices == "auto" else int(options.devices)
    check_options(
        devices,
        options.accelerator,
        options.limit_batches,
        options.max_time,
        options.checkpoint_minutes,
        options.precision,
    )
    return devices


def run(options: argparse.Namespace, rest: list[str]) -> int:
    """Run the command; returns the exit code."""
    import torch

    from cmsa.cli.prepare import make_missing
    from cmsa.cli.written import files_of_recipe, refuse_overwriting
    from cmsa.files.whole import refuse_unwritable
    from cmsa.training.launched import by_torchrun
    from cmsa.training.recipe import load_recipe
    from cmsa.training.starting_point import check_entries, check_model
    from cmsa.training.train import train

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    devices = checked_devices(options)
    recipe = load_recipe(options.recipe, rest)
    check_entries(recipe)
    refuse_overwriting(written(options), files_of_recipe(recipe))
    refuse_unwritable(_folder(options) / "last.ckpt")
    # Several processes must not make the same store; those of torchrun find it made.
    if not by_torchrun():
        if not all(Path(folder).exists() for folder in recipe.data.train + recipe.data.validate):
            check_model(recipe)
        make_missing(recipe.data.prepare, recipe.data.train + recipe.data.validate)
    train(
        recipe,
        _folder(options),
        resume=options.resume,
        devices=devices,
        accelerator=options.accelerator,
        precision=options.precision,
        max_time=options.max_time,
        compile_network=options.compile,
        progress=options.progress,
        limit_batches=options.limit_batches,
        checkpoint_minutes=options.checkpoint_minutes,
        sync_batchnorm=options.sync_batchnorm,
    )
    return 0
