"""The range of every number of a recipe, and how long one may be, checked where recipes enter."""

from __future__ import annotations

import math
import operator
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

LEAST: dict[str, float] = {
    "alpha": 0,
    "label_smoothing": 0,
    "seed": 0,
    "data.workers": 0,
    "augment.scale_std": 0,
    "augment.rotation_std": 0,
    "augment.rotation_limit": 0,
    "augment.rotation_probability": 0,
    "augment.flip_probability": 0,
    "augment.half_body_probability": 0,
    "augment.truncation_probability": 0,
    "augment.translation": 0,
    "augment.jitter": 0,
    "augment.degradation_probability": 0,
    "augment.blur": 0,
    "augment.noise": 0,
    "augment.jpeg": 0,
    "augment.erasing_probability": 0,
    "augment.mixup": 0,
    "augment.cutmix": 0,
    "augment.switch": 0,
    "augment.randaugment": 0,
    "augment.repeats": 1,
    "augment.supersample": 1,
    "teacher.share": 0,
    "teacher.threshold": 0,
    "optimizer.epochs": 1,
    "optimizer.samples": 0,
    "optimizer.batch_size": 1,
    "optimizer.final_learning_rate": 0,
    "optimizer.warmup_epochs": 0,
    "optimizer.weight_decay": 0,
    "optimizer.clip_norm": 0,
    "optimizer.ema_decay": 0,
}
MOST: dict[str, float] = {
    "seed": 2**32 - 1,
    "data.workers": 1024,
    "optimizer.epochs": 1_000_000_000,
    "optimizer.samples": 10**15,
    "optimizer.batch_size": 1_000_000,
    "augment.repeats": 1000,
    "augment.rotation_limit": 180,
    "augment.rotation_probability": 1,
    "augment.flip_probability": 1,
    "augment.half_body_probability": 1,
    "augment.truncation_probability": 1,
    "augment.translation": 1,
    "augment.jitter": 1,
    "augment.degradation_probability": 1,
    "augment.blur": 64,
    "augment.noise": 255,
    "augment.jpeg": 95,
    "augment.erasing_probability": 1,
    "augment.switch": 1,
    "augment.randaugment": 10,
    "augment.supersample": 16,
    "data.fraction": 1,
    "teacher.share": 1,
}
ABOVE: dict[str, float] = {"data.fraction": 0, "optimizer.learning_rate": 0}
BELOW: dict[str, float] = {"label_smoothing": 1, "optimizer.ema_decay": 1}
LARGEST_SIDE = 4096
SIGMAS = (0.01, 1000)
"""Pixels or bins; beyond them a target is nothing, or the same everywhere."""
MOST_VALUES = 100_000
"""Of a recipe's file."""
_SHOWN = 60
"""Letters of a value."""


def check_recipe(recipe: Any) -> None:
    """Refuse numbers out of range.

    Args:
        recipe: a ``Recipe``.

    Raises:
        ValueError: a number is out of its range, a list has the wrong length or order, or a store is validated twice;
            entry, value and range are named.
    """
    for name, value in leaves(recipe):
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        wanted = [
            text
            for text, fine in (
                ("a finite number", abs(value) <= sys.float_info.max),
                (f"at least {LEAST.get(name)}", value >= LEAST.get(name, -math.inf)),
                (f"at most {MOST.get(name)}", value <= MOST.get(name, math.inf)),
                (f"above {ABOVE.get(name)}", name not in ABOVE or value > ABOVE[name]),
                (f"below {BELOW.get(name)}", name not in BELOW or value < BELOW[name]),
            )
            if not fine
        ]
        if wanted:
            raise ValueError(f"{name} must be {wanted[0]}, got {value}")
    for name in ("input_size", "working_size"):
        size = getattr(recipe.model, name)
        if size is not None and (len(size) != 2 or not all(1 <= side <= LARGEST_SIDE for side in size)):
            raise ValueError(f"model.{name} must be [height, width], each 1 to {LARGEST_SIDE}, got {size}")
    if recipe.sigma is not None and not SIGMAS[0] <= recipe.sigma <= SIGMAS[1]:
        raise ValueError(f"sigma must be {SIGMAS[0]} to {SIGMAS[1]}, got {recipe.sigma}")
    limits = recipe.augment.scale_limits
    if len(limits) != 2 or not 0 < limits[0] <= limits[1] < math.inf:
        raise ValueError(f"augment.scale_limits must be [least, most], above 0 and in this order, got {limits}")
    _check_steps(recipe.optimizer)
    places = [os.path.realpath(folder) for folder in recipe.data.validate]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise ValueError(f"data.validate names {recipe.data.validate[number]} twice")


def check_apart(data: Any) -> None:
    """Refuse to validate on what is learned.

    Args:
        data: of a ``Recipe``.

    Raises:
        ValueError: a store is in ``data.train`` and in ``data.validate``, by whatever path.
    """
    learned = set(map(os.path.realpath, data.train))
    for folder in data.validate:
        if os.path.realpath(folder) in learned:
            raise ValueError(f"{folder} is in data.train and in data.validate: its scores would say nothing")


def _check_steps(optimizer: Any) -> None:
    steps = optimizer.step_epochs
    if any(epoch < 0 for epoch in steps):
        raise ValueError(f"optimizer.step_epochs must be at least 0, got {steps}")
    if not all(map(operator.lt, steps, steps[1:])):
        raise ValueError(f"optimizer.step_epochs must increase, got {steps}")


def check_values(path: Path) -> None:
    """Refuse a file of which YAML makes something else than what stands there.

    An entry that is written twice has one of its values; ``010`` is 8, and ``1:30`` is 90; aliases may unfold to more
    values than any recipe has, which would take for ever to read, or to what holds itself.

    Raises:
        ValueError: it is such a file.
        yaml.YAMLError: it is not YAML.
    """
    import yaml

    lengths: dict[int, int] = {}
    unfinished: set[int] = set()

    def length(node: Any) -> int:
        if id(node) in unfinished:
            raise ValueError(f"line {node.start_mark.line + 1}: a value holds itself")
        if id(node) not in lengths:
            unfinished.add(id(node))
            below = node.value if isinstance(node, yaml.CollectionNode) else ()
            pairs = isinstance(node, yaml.MappingNode)
            if pairs:
                _refuse_repeated([key for key, _ in below])
            elif isinstance(node, yaml.ScalarNode):
                _refuse_misread(node)
            lengths[id(node)] = 1 + sum(sum(map(length, part)) if pairs else length(part) for part in below)
            unfinished.remove(id(node))
        return lengths[id(node)]

    values = length(yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader))
    if values > MOST_VALUES:
        raise ValueError(f"it has {values:,} values, aliases unfolded; a recipe has {MOST_VALUES:,} at most")


def _refuse_repeated(keys: Sequence[Any]) -> None:
    seen: set[str] = set()
    for key in keys:
        name = str(key.value)
        if name in seen:
            raise ValueError(f"line {key.start_mark.line + 1}: the entry {name} stands there before")
        seen.add(name)


def _refuse_misread(node: Any) -> None:
    """Refuse a value that YAML 1.1 takes for a number of another base, or that is not what its tag says."""
    import yaml

    line = node.start_mark.line + 1
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node)
    except yaml.YAMLError:
        raise
    except Exception as error:  # ``!!bool foo``, ``2020-99-99`` and a number of 5,000 digits: of each kind another one
        kind = node.tag.rpartition(":")[2]
        raise ValueError(
            f"line {line}: {node.value[:_SHOWN]} cannot be read (as {kind}); put text in quotes"
        ) from error
    if isinstance(value, int | float) and re.fullmatch(r"[-+]?0[0-7_]+|.*:.*", node.value):
        raise ValueError(f"line {line}: {node.value} is the number {value} to YAML: write that, or put it in quotes")


def leaves(part: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of all entries of a recipe."""
    for field in fields(part):
        value = getattr(part, field.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value
