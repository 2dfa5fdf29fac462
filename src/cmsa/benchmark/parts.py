"""Where a training step's time goes: its parts, and the operators that take most of it."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from dataclasses import dataclass
from typing import Any

from torch.profiler import ProfilerActivity, profile

from cmsa.benchmark.measure import Work
from cmsa.benchmark.step import TrainingStep

NAMED = 3
"""How many operators are named."""


@dataclass(frozen=True)
class Parts:
    """A training step's time, in parts of 1.

    Attributes:
        augmentation: from stored crops and labels to images and targets.
        forward: the network and the loss.
        backward: the gradients.
        optimizer: AdamW.
        operators: the three that take most time themselves, and what part of all operators' time it is.
    """

    augmentation: float
    forward: float
    backward: float
    optimizer: float
    operators: list[tuple[str, float]]


def find_parts(augment: Work, step: TrainingStep, rounds: int) -> Parts:
    """Time the parts of a step that has run before, medians over the rounds, and profile one more step."""
    times = [_one_step(augment, step) for _ in range(rounds)]
    medians = [statistics.median(part) for part in zip(*times, strict=True)]
    augmentation, forward, backward, optimizer = (median / sum(medians) for median in medians)
    operators = find_operators(lambda: _one_step(augment, step), step.images.is_cuda)
    return Parts(augmentation, forward, backward, optimizer, operators)


def _one_step(augment: Work, step: TrainingStep) -> list[float]:
    """Seconds of augmentation, forward, backward and optimizer."""
    marks = []

    def mark() -> None:
        step.wait()
        marks.append(time.perf_counter())

    mark()
    augment()
    mark()
    loss = step.forward()
    mark()
    step.backward(loss)
    mark()
    step.update()
    mark()
    return [end - start for start, end in itertools.pairwise(marks)]


def find_operators(work: Work, on_gpu: bool) -> list[tuple[str, float]]:
    """Names and shares of the operators in which the work spends most time itself, the largest first."""
    # The profiler's library tells of its comings and goings otherwise, and of a GPU that is not there.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        work()
    # A kernel's time counts for the operator that launched it; the kernel's own entry would count it again.
    entries: list[Any] = [entry for entry in profiler.key_averages() if entry.device_type.name == "CPU"]
    times = {entry.key: entry.self_device_time_total if on_gpu else entry.self_cpu_time_total for entry in entries}
    ranked = sorted(times.items(), key=lambda item: item[1], reverse=True)[:NAMED]
    return [(in_words(name), spent / sum(times.values())) for name, spent in ranked]


def in_words(operator: str) -> str:
    """``aten::convolution_backward`` as ``convolution backward``."""
    return operator.removeprefix("aten::").replace("_", " ").strip()
