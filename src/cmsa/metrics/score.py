"""An account of scores: filled batch by batch, read at the end, the same whatever the size of the batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from cmsa.metrics.bootstrap import Interval, mean_intervals

Batch = Mapping[str, Tensor]
"""Labels of B samples, by name."""
Decoded = tuple[Tensor, ...]
"""What a task decodes: tensors (B, ...) in float32."""


class Score(ABC):
    """Collects what a network says of a store.

    Attributes:
        ranked_by: the column of ``samples`` that says how good a sample's answer is, and whether it should be large or
            small; None where no column does.
    """

    ranked_by: ClassVar[tuple[str, Literal["max", "min"]] | None] = None

    @abstractmethod
    def reset(self) -> None:
        """Forget what was collected."""

    @abstractmethod
    def update(self, batch: Batch, decoded: Decoded) -> None:
        """Take what was decoded for a batch of the store.

        Args:
            batch: the store's labels.
            decoded: by the store's task.
        """

    @abstractmethod
    def compute(self) -> dict[str, Any]:
        """Names and values of what was collected."""

    def details(self) -> dict[str, Any]:
        """What is behind the scores, e.g. by keypoint or class: plain values, ready for JSON."""
        return {}

    def intervals(self) -> dict[str, Interval]:
        """The main scores' intervals at 95 %, see ``cmsa.metrics.bootstrap``; may take much longer than ``compute``."""
        return {}

    def samples(self) -> list[dict[str, Any]]:
        """A row for each sample, in the order in which they were taken: plain numbers and text by name."""
        return []

    def save_pictures(self, folder: Path, name: str) -> None:  # noqa: B027
        """Draw what numbers do not tell, where there is such a thing.

        Args:
            folder: of the pictures; made where it is missing.
            name: of the store and the network, e.g. for a title; as a file's name where slashes are replaced.
        """


class Submission(Score):
    """Collects what a network finds, to be scored by others."""

    @abstractmethod
    def entries(self) -> list[dict[str, Any]]:
        """The entries of the file, in the format of whoever scores it; ready for JSON."""


class MeanScore(Score):
    """Means over the samples, for tasks whose scores are no more than that.

    Args:
        errors: labels and what was decoded -> numbers (B,) for each score, by name.
    """

    def __init__(self, errors: Callable[[Batch, Decoded], Mapping[str, Tensor]]) -> None:
        self.errors = errors
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self.collected: dict[str, list[Tensor]] = {}

    def update(self, batch: Batch, decoded: Decoded) -> None:
        """As ``Score.update``."""
        for name, numbers in self.errors(batch, decoded).items():
            self.collected.setdefault(name, []).append(numbers.detach().cpu().double())

    def compute(self) -> dict[str, Any]:
        """The means, and ``count``, the number of samples; nothing if none were added."""
        joined = self._joined()
        count = {"count": float(len(next(iter(joined.values()))))} if joined else {}
        return {name: numbers.mean().item() for name, numbers in joined.items()} | count

    def intervals(self) -> dict[str, Interval]:
        """As ``Score.intervals``, of the means."""
        return mean_intervals({name: numbers.numpy() for name, numbers in self._joined().items()})

    def samples(self) -> list[dict[str, Any]]:
        """As ``Score.samples``."""
        columns = {name: numbers.tolist() for name, numbers in self._joined().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _joined(self) -> dict[str, Tensor]:
        return {name: torch.cat(numbers) for name, numbers in self.collected.items()}
