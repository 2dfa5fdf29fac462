"""Detectors as torchvision exports them: boxes (N, 4), labels (N,), scores (N,), already chosen.

Input: (3, H, W) or (1, 3, H, W), RGB from 0 to 1, of any size unless the file fixes it. Classes are COCO's category
ids, people 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmsa.inference.detectors.layouts.candidates import Candidates, Output
from cmsa.inference.detectors.layouts.layout import Layout
from cmsa.inference.detectors.preparation import Preparation


class Torchvision(Layout):
    """Three outputs in any order, told apart by their shapes and types; masks and keypoints beside them are ignored."""

    preparation = Preparation(resizing="stretch")
    size = None
    person = 1
    iou = None

    def fits(self, outputs: Sequence[Output]) -> bool:
        """One of each."""
        return all(len(part) == 1 for part in _parts(outputs))

    def read(self, outputs: Sequence[Output], size: tuple[int, int], wanted: frozenset[int] | None) -> Candidates:
        """As ``Layout.read``."""
        corners, labels, scores = (part[0].values for part in _parts(outputs))
        found = Candidates(
            corners.reshape(-1, 4).astype(np.float64),
            scores.reshape(-1).astype(np.float64),
            labels.reshape(-1).astype(np.int64),
        )
        return found if wanted is None else found.take(np.isin(found.classes, sorted(wanted)))


def _parts(outputs: Sequence[Output]) -> tuple[list[Output], list[Output], list[Output]]:
    """What may be boxes, labels and scores."""

    def shape(output: Output) -> tuple[int, ...]:
        # Some exporters keep the batch of one.
        found = output.values.shape
        return found[1:] if len(found) > 1 and found[0] == 1 and found != (1, 4) else found

    kinds = {id(output): output.values.dtype.kind for output in outputs}
    boxes = [output for output in outputs if len(shape(output)) == 2 and shape(output)[1] == 4]
    flat = [output for output in outputs if len(shape(output)) == 1]
    labels = [output for output in flat if kinds[id(output)] in "iu"]
    scores = [output for output in flat if kinds[id(output)] == "f"]
    return boxes, labels, scores
