"""Classification of small images: soft targets, their cross-entropy, probabilities, and the scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from cmsa.metrics.classification import ClassificationErrors


class ClassificationTask:
    """Encodes, scores and decodes classes.

    Args:
        classes: C.
        label_smoothing: this share of a target's probability is spread over all classes (arXiv 1512.00567).

    Raises:
        ValueError: there is no class, or the share is not in 0..1.
    """

    def __init__(self, classes: int, label_smoothing: float = 0.0) -> None:
        if classes < 1:
            raise ValueError(f"there must be at least one class, got {classes}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, got {label_smoothing}")
        self.classes, self.label_smoothing = classes, label_smoothing

    def encode(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``label`` (B,) -> ``probabilities`` (B, C) float32, smoothed."""
        certain = functional.one_hot(batch["label"], self.classes).float()
        return {"probabilities": certain * (1 - self.label_smoothing) + self.label_smoothing / self.classes}

    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy in nats between the soft targets and the logits (B, C), in float32."""
        with torch.autocast(output.device.type, enabled=False):
            scores = output.float().log_softmax(dim=1)
            return -(targets["probabilities"] * scores).sum(dim=1).mean()

    def decode(self, output: Tensor) -> Tensor:
        """Probabilities (B, C) float32 of logits (B, C)."""
        with torch.autocast(output.device.type, enabled=False):
            return output.float().softmax(dim=1)

    def metrics(self) -> ClassificationErrors:
        """An empty account, to be updated with log-probabilities and true classes."""
        return ClassificationErrors(self.classes)
