"""How well classes are told apart over a data set, as running sums: the same whatever the batch size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

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
