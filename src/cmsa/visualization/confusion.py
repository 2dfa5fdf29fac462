"""A picture of who is taken for whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

_MOST_NAMES = 40
"""With more classes their names would lie on top of each other."""


def save_confusion(path: str | Path, confusion: ArrayLike, names: Sequence[str], title: str = "") -> None:
    """Draw a confusion matrix.

    Args:
        path: the picture to write; its suffix decides the format.
        confusion: (C, C) counts, true class by predicted class; each row is shown as shares of its sum.
        names: C class names; written where there are at most 40.
        title: above the picture.

    Raises:
        ValueError: the shapes do not fit.
    """
    from matplotlib.figure import Figure

    counts = np.asarray(confusion, dtype=np.float64)
    if counts.shape != (len(names), len(names)):
        raise ValueError(f"confusion must be ({len(names)}, {len(names)}), got {counts.shape}")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(12.0, 3.5 + 0.25 * len(names))
    figure = Figure((side, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if len(names) <= _MOST_NAMES:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    figure.savefig(path, dpi=120)
