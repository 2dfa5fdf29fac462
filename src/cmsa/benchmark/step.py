"""One training step of a network on a batch that is ready: forward, loss, backward, AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from cmsa.tasks import Task
from cmsa.training.module import build_optimizer
from cmsa.training.recipe import OptimizerRecipe

TrainingPrecision = Literal["float32", "bf16"]


class TrainingStep:
    """What ``cmsa train`` does with a batch after the augmentation.

    Args:
        network: images (B, 3, H, W) -> output, in train mode, on the images' device.
        task: whose loss it is.
        images, targets: the batch.
        precision: ``bf16`` runs the forward pass under autocast, as ``cmsa train --precision bf16-mixed`` does.
        settings: of AdamW.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        images: Tensor,
        targets: Mapping[str, Tensor],
        precision: TrainingPrecision = "float32",
        settings: OptimizerRecipe | None = None,
    ) -> None:
        settings = settings or OptimizerRecipe()
        self.network, self.task, self.images, self.targets = network, task, images, targets
        self.precision = precision
        # The time does not depend on the rate, and hundreds of steps on noise must not end in infinities.
        self.optimizer = build_optimizer(network, settings.weight_decay, settings.final_learning_rate)

    def forward(self) -> Tensor:
        """The loss."""
        # Lightning's autocast keeps no casted weights either.
        with torch.autocast(
            self.images.device.type, torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=False
        ):
            return self.task.loss(self.network(self.images), self.targets)

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss, in place of those of the step before."""
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]

    def update(self) -> None:
        """Move the weights."""
        self.optimizer.step()

    def wait(self) -> None:
        """Until a GPU has done what it was told to: else only the telling would be timed."""
        if self.images.is_cuda:
            torch.cuda.synchronize()

    def __call__(self) -> Tensor:
        """The whole step; returns the loss of before it."""
        loss = self.forward()
        self.backward(loss)
        self.update()
        self.wait()
        return loss
