"""What moves before a fixed camera: background subtraction, no weights.

The background is a mixture of Gaussians for each pixel (MOG2: Zivkovic, ICPR 2004) or its nearest neighbours in time
(KNN: Zivkovic & van der Heijden, PRL 2006), both as in OpenCV. A person who stands still becomes background
after about a tenth of ``history`` frames with MOG2, and sooner with KNN.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cmsa.inference.detectors.detections import Detections, DetectorError, Picture
from cmsa.structures import Box

Rectangles = NDArray[np.int64]
_FOREGROUND = 255
"""OpenCV marks shadows with 127."""


class MotionDetector:
    """Boxes about what differs from the background that the frames before showed.

    Args:
        method: ``mog2`` or ``knn``.
        history: frames that the background is made of.
        threshold: squared distance in standard deviations (MOG2, 16 when None) or grey levels (KNN, 400 when None)
            from which a pixel counts as foreground.
        minimum_size: the least longer side of a box, as a share of the picture's longer side.
        merge: fragments nearer to each other than this share of the picture's longer side become one box: a dark
            shirt before a dark wall splits a person in two.
        warm_up: frames before the first box; the first frame alone is no background.
        flood: no box when more than this share of the picture moves: the light or the camera did.
        side: the picture is shrunk until its longer side is this many pixels, for speed.

    Raises:
        DetectorError: an argument is out of its range.
    """

    source = "motion"

    def __init__(
        self,
        method: Literal["mog2", "knn"] = "mog2",
        *,
        history: int = 2000,
        threshold: float | None = None,
        minimum_size: float = 0.03,
        merge: float = 0.015,
        warm_up: int = 1,
        flood: float = 0.7,
        side: int = 320,
    ) -> None:
        if method not in ("mog2", "knn"):
            raise DetectorError(f"motion: method must be mog2 or knn, got {method!r}")
        if history < 1 or side < 16 or warm_up < 1:
            raise DetectorError(
                f"motion: history and warm_up must be at least 1 and side at least 16, got {history}, {warm_up}, {side}"
            )
        self.method, self.history, self.threshold = method, history, threshold
        self.minimum_size, self.merge, self.warm_up, self.flood, self.side = minimum_size, merge, warm_up, flood, side
        self._shape: tuple[int, ...] = ()
        self._seen = 0
        self._background: Any = None

    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """What moves in the next frame; nothing during the warm-up. A frame of another size starts anew.

        A box's score is the share of it that moves.
        """
        if picture.shape != self._shape:
            self._shape, self._seen, self._background = picture.shape, 0, self._new_background()
        scale = min(1.0, self.side / max(picture.shape[:2]))
        small = picture
        if scale < 1:
            size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
            small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        moving = self._moving(small)
        if self._seen <= self.warm_up or moving.mean() > self.flood:
            return Detections((), (), (), self.source)
        longer = max(small.shape[:2])
        rectangles = merge_rectangles(_fragments(moving), self.merge * longer)
        large = rectangles[(rectangles[:, 2:] - rectangles[:, :2]).max(axis=1, initial=0) >= self.minimum_size * longer]
        fills = [float(moving[top:bottom, left:right].mean()) for left, top, right, bottom in large]
        across, down = picture.shape[1] / small.shape[1], picture.shape[0] / small.shape[0]
        boxes = [
            Box(left * across, top * down, (right - left) * across, (bottom - top) * down)
            for left, top, right, bottom in large.tolist()
        ]
        order = np.argsort([-fill for fill in fills], kind="stable")
        return Detections(tuple(boxes), tuple(fills), ("moving",) * len(boxes), self.source).take(order.tolist())

    def _new_background(self) -> Any:
        make, usual = {
            "mog2": (cv2.createBackgroundSubtractorMOG2, 16.0),
            "knn": (cv2.createBackgroundSubtractorKNN, 400.0),
        }[self.method]
        return make(self.history, usual if self.threshold is None else self.threshold, True)

    def _moving(self, small: Picture) -> NDArray[np.bool_]:
        """The pixels that move, without specks and with small holes closed."""
        self._seen += 1
        # MOG2's own rate stays high for long, and whoever walks slowly through the first seconds would become
        # background. KNN draws its samples by its rate, and knows nothing at a low one.
        rate = -1.0
        if self.method == "mog2":
            rate = 1 / self._seen if self._seen <= self.warm_up else 1 / self.history
        mask = self._background.apply(small, learningRate=rate)
        mask = np.where(mask == _FOREGROUND, np.uint8(1), np.uint8(0))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
        return np.asarray(mask, dtype=np.bool_)


def _fragments(moving: NDArray[np.bool_]) -> Rectangles:
    """(N, 4) left, top, right, bottom of the connected parts; right and bottom are just outside."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(moving.astype(np.uint8), connectivity=8)
    left, top, width, height = (stats[1:count, column].astype(np.int64) for column in range(4))
    return np.stack([left, top, left + width, top + height], axis=1)


def merge_rectangles(rectangles: Rectangles, gap: float) -> Rectangles:
    """Join rectangles that overlap, or are at most ``gap`` apart in x and in y, until none are.

    Args:
        rectangles: (N, 4) left, top, right, bottom.
        gap: in pixels.
    """
    merged = [tuple(row) for row in rectangles.tolist()]
    changed = True
    while changed:
        changed = False
        kept: list[tuple[int, ...]] = []
        for row in merged:
            for place, other in enumerate(kept):
                near = all(max(row[axis], other[axis]) - min(row[axis + 2], other[axis + 2]) <= gap for axis in (0, 1))
                if near:
                    kept[place] = (
                        min(row[0], other[0]),
                        min(row[1], other[1]),
                        max(row[2], other[2]),
                        max(row[3], other[3]),
                    )
                    changed = True
                    break
            else:
                kept.append(row)
        merged = kept
    return np.array(merged, dtype=np.int64).reshape(-1, 4)
