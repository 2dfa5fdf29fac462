"""The benchmark of training: a step of the plain network and of ours, timed in turn, and where ours spends its time."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from cmsa.benchmark.measure import Work, interleaved, machine
from cmsa.benchmark.noise import noise_store
from cmsa.benchmark.parts import Parts, find_parts
from cmsa.benchmark.plain import PlainNetwork
from cmsa.benchmark.step import TrainingPrecision, TrainingStep
from cmsa.benchmark.written import write_rows
from cmsa.models.heads.table import HEADS
from cmsa.models.network import CMSA
from cmsa.tasks import task_named
from cmsa.training.module import TrainingModule
from cmsa.training.recipe import load_recipe
from cmsa.training.starting_point import build_network, description_of

Size = tuple[int, int]

RECIPES: dict[str, str] = {
    "pose": "pose_coco_cmsa_s_32x24",
    "head_pose": "head_pose_cmsa_s_32x32",
    "classification": "cifar100_cmsa_s",
}
"""Whose augmentation, loss and AdamW are measured."""


@dataclass(frozen=True)
class TrainingRow:
    """One implementation of one network.

    Attributes:
        name, height, width: the network and its input.
        precision: ``float32`` or ``bf16`` (autocast).
        implementation: ``plain``, ``ours``, ``compiled``, which is ours through ``torch.compile``, or ``cuda graph``,
            which is compiled ours whose kernels a CUDA device starts in one go.
        throughput: samples a second.
        speedup: the throughput against that of ``plain``.
        parts: of ``ours``, where a step's time goes.
    """

    name: str
    height: int
    width: int
    precision: TrainingPrecision
    implementation: str
    throughput: float
    speedup: float
    parts: Parts | None = None


def benchmark_training(
    variants: Sequence[str] = ("cmsa_n", "cmsa_s"),
    sizes: Sequence[Size] | None = None,
    precisions: Sequence[TrainingPrecision] = ("float32", "bf16"),
    task: str = "pose",
    *,
    batch: int = 32,
    compile_network: bool = False,
    threads: int = 2,
    rounds: int = 5,
    out: Path | None = None,
) -> list[TrainingRow]:
    """Measure training steps (forward, loss, backward, AdamW) and show the table.

    A step starts from images and targets that are ready, the same for every implementation. The plain network and
    ours begin with the same weights and take turns. A CUDA device is used where there is one.

    Args:
        variants: of CMSA.
        sizes: (H, W) of their inputs; by default the one of the task's recipes.
        precisions: ``float32`` and ``bf16``, which is autocast.
        task: whose head, augmentation and loss are trained.
        batch: samples of a step.
        compile_network: measure ours through ``torch.compile`` too; on a CUDA device with CUDA graphs as well.
        threads: of the CPU.
        rounds: of which medians are taken.
        out: folder for ``training.json``.

    Raises:
        ValueError: there is no such precision.
    """
    unknown = set(precisions) - set(get_args(TrainingPrecision))
    if unknown:
        raise ValueError(f"training runs in float32 or bf16, not in {', '.join(sorted(unknown))}")
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows: list[TrainingRow] = []
    for variant in variants:
        for size in sizes or [HEADS[task].input_size]:
            trained = Trained(variant, task, size, batch, device)
            for precision in precisions:
                rows += trained.measure(precision, compile_network, rounds)
    where = f"{machine()}, {torch.cuda.get_device_name()}" if device.type == "cuda" else machine()
    conditions = {"machine": where, "task": task, "threads": threads, "batch": batch, "rounds": rounds}
    show_training(rows, conditions)
    if out is not None:
        write_rows(out / "training.json", rows, conditions)
    return rows


class Trained:
    """A variant with all that a training has: recipe, task, stored crops of noise."""

    def __init__(self, variant: str, task: str, size: Size, batch: int, device: torch.device) -> None:
        self.variant, self.size, self.batch, self.network_device = variant, size, batch, device
        recipe = load_recipe(RECIPES[task])
        recipe.model.name, recipe.model.input_size = variant, list(size)
        store = noise_store(task, size, batch)
        description = description_of(recipe, store)
        network = build_network(recipe, description.options)
        assert isinstance(network, CMSA)
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        task_here = task_named(task).from_description(description, network.heatmap_size)
        # Its constants belong where the crops are.
        self.module = TrainingModule(recipe, self.network, task_here, [store], []).to(device)
        self.stored = {name: label.to(device) for name, label in store.read(slice(None)).items()}

    def measure(self, precision: TrainingPrecision, compile_network: bool, rounds: int) -> list[TrainingRow]:
        """The implementations in one precision, the plain one first."""
        images, targets = self.module.augment(self.stored)
        networks = {"plain": PlainNetwork(self.network), "ours": copy.deepcopy(self.network)}
        if compile_network:
            # What was compiled for another precision or size counts towards torch's limit of recompilations.
            torch.compiler.reset()
            networks["compiled"] = copy.deepcopy(self.network)
            networks["compiled"].compile()
            if self.network_device.type == "cuda":
                networks["cuda graph"] = copy.deepcopy(self.network)
                networks["cuda graph"].compile(mode="reduce-overhead")
        settings, task = self.module.recipe.optimizer, self.module.task
        steps = {
            name: TrainingStep(network, task, images, targets, precision, settings)
            for name, network in networks.items()
        }
        works: dict[str, Work] = {**steps}
        timings = interleaved(works, rounds)
        parts = find_parts(lambda: self.module.augment(self.stored), steps["ours"], rounds)
        return [
            TrainingRow(
                self.variant,
                *self.size,
                precision,
                name,
                throughput=self.batch / timing.wall,
                speedup=timings["plain"].wall / timing.wall,
                parts=parts if name == "ours" else None,
            )
            for name, timing in timings.items()
        ]


def show_training(rows: Sequence[TrainingRow], conditions: Mapping[str, Any]) -> None:
    """Print rows, what they were measured on, and where our time goes."""
    from rich.console import Console
    from rich.table import Table

    title = (
        f"{conditions['machine']}; {conditions['threads']} threads; {conditions['task']} in batches of "
        f"{conditions['batch']}; medians of {conditions['rounds']} interleaved rounds"
    )
    table = Table(title=title)
    for name in ("network", "input", "precision", "implementation"):
        table.add_column(name, overflow="fold")
    for name in ("samples/s", "against plain"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = f"{row.throughput:.1f}", f"{row.speedup:.2f}x"
        table.add_row(row.name, f"{row.height}x{row.width}", row.precision, row.implementation, *numbers)
    console = Console(soft_wrap=True)
    console.print(table)
    for row in rows:
        if row.parts is not None:
            console.print(f"{row.name} {row.height}x{row.width} {row.precision}: {in_percent(row.parts)}")


def in_percent(parts: Parts) -> str:
    """A step's parts in words."""
    names = ("augmentation", "forward", "backward", "optimizer")
    shares = ", ".join(f"{name} {getattr(parts, name):.0%}" for name in names)
    operators = ", ".join(f"{name} {share:.0%}" for name, share in parts.operators)
    return f"{shares}; most of it in {operators}"
