"""Classification of small images: soft targets, their cross-entropy, probabilities, and the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from cmsa.data.store import CropStore
from cmsa.data.transforms.mixup import Mixing, mix
from cmsa.metrics.classification import SCORES, ClassificationScore
from cmsa.metrics.score import Batch, Decoded
from cmsa.models.description import Description
from cmsa.structures import Box, ClassScores, FloatArray
from cmsa.tasks.task import Output, Targets, Task, numbers


class ClassificationTask(Task):
    """Encodes, scores and decodes classes.

    Args:
        classes: C.
        label_smoothing: this share of a target's probability is spread over all classes (arXiv 1512.00567).
        names: of the classes; without them they are called by their numbers.

    Raises:
        ValueError: there is no class, there are names for another number of them, or the share is not in 0..1.
    """

    name = "classification"
    command = "classify"
    monitored = ("top1", "max")
    scores = SCORES
    output = Output("logits", "(B, classes)")
    decoded = (Output("probabilities", "(B, classes)"),)
    columns = ("rank", "class", "probability")
    result_name = "classes"
    entries = frozenset(("label_smoothing", "augment.mixup", "augment.cutmix"))
    options = frozenset(("top",))

    def __init__(self, classes: int, label_smoothing: float = 0.0, names: Sequence[str] = ()) -> None:
        if classes < 1:
            raise ValueError(f"there must be at least one class, got {classes}")
        if names and len(names) != classes:
            raise ValueError(f"there are {classes} classes, and names for {len(names)}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, got {label_smoothing}")
        self.classes, self.label_smoothing, self.names = classes, label_smoothing, tuple(names)

    @classmethod
    def describe(cls, description: Description, settings: Mapping[str, Any], store: CropStore) -> Description:
        """As ``Task.describe``; the store names the classes."""
        names = tuple(store.meta["classes"])
        options = {"num_classes": len(names)} | description.options
        if options["num_classes"] != len(names):
            raise ValueError(f"{store.folder}: has {len(names)} classes, the recipe {options['num_classes']}")
        decoding = {"label_smoothing": settings["label_smoothing"]}
        return replace(description, names=names, decoding=decoding, options=options)

    @classmethod
    def from_description(cls, description: Description, map_size: tuple[int, int]) -> Self:
        """As ``Task.from_description``."""
        classes = description.options.get("num_classes", len(description.names))
        return cls(classes, description.decoding.get("label_smoothing", 0.0), description.names)

    def encode(self, batch: Batch) -> Targets:
        """``label`` (B,) -> ``probabilities`` (B, C) float32, smoothed; a teacher's ``probabilities`` as they are."""
        if "probabilities" in batch:
            return {"probabilities": batch["probabilities"]}
        certain = functional.one_hot(batch["label"], self.classes).float()
        return {"probabilities": certain * (1 - self.label_smoothing) + self.label_smoothing / self.classes}

    @property
    def label_names(self) -> tuple[str, ...]:
        """As ``Task.label_names``: the classes."""
        return self.names

    @property
    def foreign_numbers(self) -> int:
        """As ``Task.foreign_numbers``: one for each class."""
        return self.classes

    def taught(self, decoded: Decoded, scale: tuple[float, float], threshold: float) -> Batch:
        """As ``Task.taught``: the probabilities, of which all are sure."""
        return {"probabilities": decoded[0]}

    def mix(
        self, images: Tensor, targets: Targets, mixing: Mixing, generator: torch.Generator
    ) -> tuple[Tensor, Targets]:
        """As ``Task.mix``: mixup and CutMix."""
        images, probabilities = mix(images, targets["probabilities"], mixing, generator)
        return images, targets | {"probabilities": probabilities}

    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy in nats between the soft targets and the logits (B, C), in float32."""
        with torch.autocast(output.device.type, enabled=False):
            scores = output.float().log_softmax(dim=1)
            return -(targets["probabilities"] * scores).sum(dim=1).mean()

    def decode(self, output: Tensor) -> Decoded:
        """Probabilities (B, C) float32 of logits (B, C)."""
        with torch.autocast(output.device.type, enabled=False):
            return (output.float().softmax(dim=1),)

    def values(self, decoded: Decoded, matrices: Sequence[FloatArray], boxes: Sequence[Box]) -> list[ClassScores]:
        """As ``Task.values``."""
        names = self.names or tuple(map(str, range(self.classes)))
        return [ClassScores(row, names, box) for row, box in zip(numbers(decoded[0]), boxes, strict=True)]

    def score(self, store: CropStore) -> ClassificationScore:
        """As ``Task.score``."""
        return ClassificationScore(self.classes, store)

    def truth(self, batch: Batch) -> Decoded:
        """As ``Task.truth``: the class, for certain."""
        return (functional.one_hot(batch["label"].long(), self.classes).float(),)

    def augmented_truth(self, batch: Batch, targets: Targets) -> Decoded:
        """As ``Task.augmented_truth``: probabilities, smoothed and blended."""
        return (targets["probabilities"],)

    def constants(self) -> dict[str, Any]:
        """As ``Task.constants``: the classes' names."""
        return {"names": self.names}

    def distances(self, found: Decoded, expected: Decoded, output: Tensor) -> tuple[Tensor, str]:
        """As ``Task.distances``; the remark counts images whose most probable class differs."""
        labels = int((found[0].argmax(1) != expected[0].argmax(1)).sum())
        return (found[0] - expected[0]).abs(), f"{labels} labels differ"

    def record(self, value: ClassScores, box_score: float, top: int) -> dict[str, Any]:
        """As ``Task.record``: the most likely classes."""
        return {"classes": [{"name": name, "probability": round(share, 6)} for name, share in value.top(top)]}

    def rows(self, record: Mapping[str, Any]) -> list[list[Any]]:
        """As ``Task.rows``: one for each class that was kept."""
        return [[rank, entry["name"], entry["probability"]] for rank, entry in enumerate(record["classes"], start=1)]

    def headings(self) -> tuple[str, ...]:
        """As ``Task.headings``."""
        return ("most likely",)

    def cells(self, value: ClassScores, top: int) -> tuple[str, ...]:
        """As ``Task.cells``."""
        return (", ".join(f"{name} {share:.1%}" for name, share in value.top(top)),)

    def label_in_words(self, value: ClassScores, top: int) -> str:
        """As ``Task.label_in_words``; shares are told of mixed images only."""
        return value.top(1)[0][0] if top == 1 else super().label_in_words(value, top)
