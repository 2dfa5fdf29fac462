"""The pre-processing of a model, from what its weights say of themselves."""

from __future__ import annotations

from cmsa.data.transforms.preprocess import Preprocess
from cmsa.models.description import Description

__all__ = ["Preprocess", "preprocess_of"]


def preprocess_of(description: Description) -> Preprocess:
    """RGB crops (B, H, W, 3) uint8 -> images (B, 3, H, W) float32, normalised as the model was trained."""
    return Preprocess(description.mean, description.std)
