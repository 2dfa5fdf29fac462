"""What a detector's network gives, in the one form that all layouts are read into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Output:
    """An output of a network: its name and what it held for one picture."""

    name: str
    values: NDArray[np.generic]

    def __str__(self) -> str:
        return f"{self.name} {self.values.shape} {self.values.dtype}"


@dataclass(frozen=True, eq=False)
class Candidates:
    """Boxes before they are chosen from.

    Attributes:
        corners: (N, 4) x1, y1, x2, y2 in pixel edges of the network's input.
        scores: (N,) from 0 to 1.
        classes: (N,) class numbers, as the network counts them.
    """

    corners: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]

    def take(self, places: NDArray[np.generic]) -> Candidates:
        """Those at ``places``, an array of places or of truth values."""
        return Candidates(self.corners[places], self.scores[places], self.classes[places])

    def suppress(self, iou: float) -> Candidates:
        """Greedy non-maximum suppression within each class, the best score first."""
        import torch
        from torchvision.ops import batched_nms  # type: ignore[import-untyped]

        corners, scores, classes = (torch.from_numpy(part) for part in (self.corners, self.scores, self.classes))
        return self.take(batched_nms(corners, scores, classes, iou).numpy())


def best_class(
    corners: NDArray[np.floating], class_scores: NDArray[np.floating], wanted: frozenset[int] | None
) -> Candidates:
    """The best of the wanted classes for each box.

    Args:
        corners: (N, 4).
        class_scores: (N, C).
        wanted: class numbers below C; None stands for all.
    """
    columns = np.arange(class_scores.shape[1]) if wanted is None else np.array(sorted(wanted), dtype=np.int64)
    chosen = class_scores[:, columns].astype(np.float64)
    best = chosen.argmax(axis=1)
    return Candidates(corners.astype(np.float64), chosen[np.arange(len(chosen)), best], columns[best])


def corners_of_centers(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 4) centre x, centre y, width, height -> x1, y1, x2, y2."""
    center, half = boxes[:, :2].astype(np.float64), boxes[:, 2:4].astype(np.float64) / 2
    return np.concatenate([center - half, center + half], axis=1)
