"""The YOLO family: one table of boxes about their centres, in pixels of the input, and class scores.

Input: RGB from 0 to 1, aspect kept, filled up on both sides with grey 114 (Ultralytics' letterbox).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmsa.inference.detectors.layouts.candidates import Candidates, Output, best_class, corners_of_centers
from cmsa.inference.detectors.layouts.checks import check_classes
from cmsa.inference.detectors.layouts.layout import Layout
from cmsa.inference.detectors.preparation import Preparation

_CHOSEN_COLUMNS = 6
_MOST_CHOSEN = 1000


class Yolo8(Layout):
    """(B, 4 + C, N): centre x, centre y, width, height, C class scores (YOLOv8, YOLO11)."""

    preparation = Preparation()
    size = (640, 640)

    def fits(self, outputs: Sequence[Output]) -> bool:
        """One table that is wider than high."""
        shape = outputs[0].values.shape
        return len(outputs) == 1 and len(shape) == 3 and 5 <= shape[1] < shape[2]

    def read(self, outputs: Sequence[Output], size: tuple[int, int], wanted: frozenset[int] | None) -> Candidates:
        """As ``Layout.read``."""
        table = outputs[0].values[0].T
        check_classes(wanted, table.shape[1] - 4)
        return best_class(corners_of_centers(table[:, :4]), table[:, 4:], wanted)


class Yolo5(Layout):
    """(B, N, 5 + C): centre x, centre y, width, height, objectness, C class scores (YOLOv5, YOLOv7)."""

    preparation = Preparation()
    size = (640, 640)

    def fits(self, outputs: Sequence[Output]) -> bool:
        """A table that is higher than wide; more outputs, the raw maps, may follow it."""
        shape = outputs[0].values.shape
        others_are_maps = all(len(other.values.shape) == 5 for other in outputs[1:])
        return others_are_maps and len(shape) == 3 and 6 <= shape[2] < shape[1]

    def read(self, outputs: Sequence[Output], size: tuple[int, int], wanted: frozenset[int] | None) -> Candidates:
        """As ``Layout.read``; a score is objectness times class score."""
        table = outputs[0].values[0]
        check_classes(wanted, table.shape[1] - 5)
        return best_class(corners_of_centers(table[:, :4]), table[:, 4:5] * table[:, 5:], wanted)


class YoloChosen(Layout):
    """(B, N, 6) with N at most 1000: x1, y1, x2, y2, score, class (YOLOv10, and exports with suppression inside)."""

    preparation = Preparation()
    size = (640, 640)
    iou = None

    def fits(self, outputs: Sequence[Output]) -> bool:
        """One table of six columns and few rows."""
        shape = outputs[0].values.shape
        return len(outputs) == 1 and len(shape) == 3 and shape[2] == _CHOSEN_COLUMNS and shape[1] <= _MOST_CHOSEN

    def read(self, outputs: Sequence[Output], size: tuple[int, int], wanted: frozenset[int] | None) -> Candidates:
        """As ``Layout.read``."""
        table = outputs[0].values[0].astype(np.float64)
        found = Candidates(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))
        return found if wanted is None else found.take(np.isin(found.classes, sorted(wanted)))
