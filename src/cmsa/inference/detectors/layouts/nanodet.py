"""NanoDet: for each stride a table of class scores and one of distances to the four sides.

Each distance is a distribution over 0 .. n-1 strides, given by logits; its mean is the distance (generalised focal
loss, Li et al., arXiv 2006.04388). Cell (row, column) of a map of k x k has its centre at (column + 0.5, row + 0.5)
strides. Input: BGR, normalised on the scale of 255, aspect kept, filled up at right and bottom.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cmsa.inference.detectors.layouts.candidates import Candidates, Output, best_class
from cmsa.inference.detectors.layouts.checks import check_classes
from cmsa.inference.detectors.layouts.layout import Layout
from cmsa.inference.detectors.preparation import Preparation


class NanoDet(Layout):
    """Pairs of (1, N, C) class scores and (1, N, 4 n) logits, in any order; N is the number of cells of a stride."""

    preparation = Preparation(
        resizing="corner", color="bgr", mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395), fill=0
    )
    size = (416, 416)

    def fits(self, outputs: Sequence[Output]) -> bool:
        """Two tables for each number of cells, the same two widths everywhere, one of them a multiple of 4."""
        return _widths(outputs) is not None

    def read(self, outputs: Sequence[Output], size: tuple[int, int], wanted: frozenset[int] | None) -> Candidates:
        """As ``Layout.read``."""
        widths = _widths(outputs)
        assert widths is not None
        classes, distances = widths
        check_classes(wanted, classes)
        tables = {(output.values.shape[1], output.values.shape[2]): output.values[0] for output in outputs}
        corners, scores = [], []
        for cells in sorted({cells for cells, _ in tables}, reverse=True):
            corners.append(_corners(tables[cells, distances].astype(np.float64), size))
            scores.append(tables[cells, classes])
        return best_class(np.concatenate(corners), np.concatenate(scores), wanted)


def _widths(outputs: Sequence[Output]) -> tuple[int, int] | None:
    """Columns of the class tables and of the distance tables; None where the outputs are no such pairs."""
    if len(outputs) < 2 or any(output.values.ndim != 3 for output in outputs):
        return None
    by_cells: dict[int, list[int]] = {}
    for output in outputs:
        by_cells.setdefault(output.values.shape[1], []).append(output.values.shape[2])
    pairs = {tuple(sorted(widths)) for widths in by_cells.values()}
    if len(pairs) != 1 or len(pair := next(iter(pairs))) != 2 or pair[0] == pair[1]:
        return None
    # Scores are never negative, logits are somewhere.
    signed = {output.values.shape[2] for output in outputs if output.values.size and output.values.min() < 0}
    distances = [width for width in pair if width % 4 == 0 and width >= 8 and signed <= {width}]
    if len(distances) != 1:
        return None
    return next(width for width in pair if width != distances[0]), distances[0]


def _corners(logits: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """(N, 4 n) logits, left, top, right, bottom -> (N, 4) corners in pixels of the input."""
    cells = len(logits)
    stride = np.sqrt(size[0] * size[1] / cells)
    columns = round(size[1] / stride)
    places = np.arange(cells)
    center = (np.stack([places % columns, places // columns], axis=1) + 0.5) * stride
    powers = np.exp((by_side := logits.reshape(cells, 4, -1)) - by_side.max(axis=2, keepdims=True))
    distances = stride * (powers @ np.arange(powers.shape[2])) / powers.sum(axis=2)
    return np.concatenate([center - distances[:, :2], center + distances[:, 2:]], axis=1)
