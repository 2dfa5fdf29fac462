"""Training in bfloat16 throughout, with labels and augmentation in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.plugins.precision import HalfPrecision
from torch import nn


class HalfNetwork(HalfPrecision):
    """Lightning's ``bf16-true`` and ``16-true``, for the network only.

    Lightning's own converts whatever a batch holds, and bfloat16 keeps three digits: keypoints and affine maps would be
    off by whole pixels. Here only the networks of a training module are converted.
    """

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Convert the network and its moving average, in place."""
        for name in ("network", "average"):
            part = getattr(module, name)
            if part is not None:
                part.to(self._desired_input_dtype)
        return module

    def convert_input(self, data: Any) -> Any:
        """Batches stay as they are."""
        return data

    @contextmanager
    def forward_context(self) -> Iterator[None]:
        """New tensors are float32, as everywhere."""
        yield
