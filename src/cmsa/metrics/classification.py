"""How well classes are told apart over a data set, as running sums: the same whatever the batch size."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from cmsa.data.store import CropStore
from cmsa.metrics.bootstrap import Interval, mean_intervals
from cmsa.metrics.score import Batch, Decoded, Score
from cmsa.visualization.confusion import save_confusion

SCORES = ("top1", "top5", "nll", "ece", "images")
CALIBRATION_BINS = 15
"""Guo et al., arXiv 1706.04599."""


class ClassificationErrors:
    """Accuracy, negative log-likelihood, calibration, and who is taken for whom.

    Attributes:
        confusion: (C, C) int64, true class by predicted class.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.confusion = torch.zeros(self.classes, self.classes, dtype=torch.int64)
        self.top5, self.likelihood = 0, 0.0
        # Per bin of confidence: how many, the sum of their confidences, how many are right.
        self.bins = torch.zeros(CALIBRATION_BINS, 3, dtype=torch.float64)

    def update(self, log_probabilities: Tensor, labels: Tensor) -> None:
        """Add B images.

        Args:
            log_probabilities: (B, C); logits will do.
            labels: (B,) true classes.

        Raises:
            ValueError: the shapes do not fit.
        """
        if log_probabilities.shape != (len(labels), self.classes):
            shape = tuple(log_probabilities.shape)
            raise ValueError(f"expected ({len(labels)}, {self.classes}) log-probabilities, got {shape}")
        scores = log_probabilities.detach().cpu().double().log_softmax(dim=1)
        labels = labels.detach().cpu().long()
        confidence, predicted = scores.exp().max(dim=1)
        right = predicted == labels
        pairs = torch.bincount(labels * self.classes + predicted, minlength=self.classes**2)
        self.confusion += pairs.reshape(self.classes, self.classes)
        best = scores.topk(min(5, self.classes), dim=1).indices
        self.top5 += int((best == labels[:, None]).any(dim=1).sum())
        self.likelihood += functional.nll_loss(scores, labels, reduction="sum").item()
        place = (confidence * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
        self.bins.index_add_(0, place, torch.stack([torch.ones_like(confidence), confidence, right.double()], dim=1))

    def compute(self) -> dict[str, float]:
        """The scores.

        Returns:
            ``top1`` and ``top5`` accuracy from 0 to 1, ``nll`` in nats, ``ece``, the expected calibration error in 15
            bins of equal width, and ``images``. NaN if nothing was added.
        """
        count = float(self.confusion.sum())
        if not count:
            return dict.fromkeys(("top1", "top5", "nll", "ece"), float("nan")) | {"images": 0.0}
        return {
            "top1": float(self.confusion.diagonal().sum()) / count,
            "top5": self.top5 / count,
            "nll": self.likelihood / count,
            "ece": float((self.bins[:, 1] - self.bins[:, 2]).abs().sum()) / count,
            "images": count,
        }


class ClassificationScore(Score):
    """Accuracy, likelihood and calibration of predicted classes on an evaluation store.

    Args:
        classes: C.
        store: what is evaluated; its ``meta`` names the classes and the data.
    """

    ranked_by: ClassVar[tuple[str, Literal["max", "min"]]] = ("nll", "min")

    def __init__(self, classes: int, store: CropStore) -> None:
        self.classes, self.store = classes, store
        self.names: list[str] = list(store.meta.get("classes", map(str, range(classes))))
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self.errors = ClassificationErrors(self.classes)
        self.rows: list[Tensor] = []

    def update(self, batch: Batch, decoded: Decoded) -> None:
        """Take probabilities (B, C)."""
        (probabilities,) = decoded
        # A probability of 0 is one that float32 cannot hold.
        smallest = torch.finfo(torch.float32).tiny
        logs = probabilities.cpu().double().clamp(min=smallest).log()
        self.errors.update(logs, batch["label"])
        label = batch["label"].cpu().long()
        (best, place), true = logs.log_softmax(dim=1).max(dim=1), logs.log_softmax(dim=1).gather(1, label[:, None])
        self.rows.append(torch.stack([label.double(), place.double(), best.exp(), -true[:, 0]], dim=1))

    def compute(self) -> dict[str, Any]:
        """What ``ClassificationErrors`` has, and the data's own name."""
        return dict(self.errors.compute()) | {"data": self.store.meta.get("data", "unknown")}

    def details(self) -> dict[str, Any]:
        """As ``Score.details``: the share of each class's images that are recognised, and how many there are."""
        counts = self.errors.confusion.sum(dim=1)
        shares = self.errors.confusion.diagonal() / counts
        entries = zip(self.names, shares.tolist(), counts.tolist(), strict=True)
        return {"by_class": [{"class": name, "accuracy": share, "images": count} for name, share, count in entries]}

    def intervals(self) -> dict[str, Interval]:
        """As ``Score.intervals``, of the accuracy and the likelihood; drawn are the images."""
        label, place, _, nll = torch.cat(self.rows).unbind(1)
        return mean_intervals({"top1": (label == place).double().numpy(), "nll": nll.numpy()})

    def samples(self) -> list[dict[str, Any]]:
        """As ``Score.samples``: the class, the predicted one, how probable that is, and the likelihood in nats."""
        return [
            {
                "class": self.names[int(label)],
                "predicted": self.names[int(place)],
                "correct": label == place,
                "probability": probability,
                "nll": nll,
            }
            for label, place, probability, nll in torch.cat(self.rows).tolist()
        ]

    def save_pictures(self, folder: Path, name: str) -> None:
        """The confusion matrix."""
        folder.mkdir(parents=True, exist_ok=True)
        save_confusion(folder / f"{name.replace('/', '_')}.png", self.errors.confusion.numpy(), self.names, name)
