"""Frames -> results: read, detected in, cut and predicted in threads of their own, tracked and given out in order.

    read -> [queue] -> detect, cut -> [queue] -> network, in batches across frames -> [queue] -> ids, smoothing

The queues are short and full queues make their writers wait, so memory does not depend on how long a stream is. Whoever
takes the results may write them while the network computes the next ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from cmsa.inference.cuts import CutPicture
from cmsa.inference.detectors import Detections, Detector
from cmsa.inference.detectors.looked_up import WHOLE, WholePicture
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Frame, Notice
from cmsa.inference.threads import ahead
from cmsa.inference.trackers import IouTracker, KeypointSmoother
from cmsa.structures import Box, Keypoints

_AHEAD = 4
"""Frames that wait before each stage."""
_MOST_PIXELS = 64_000_000
"""Of the frames that wait until a batch is full; large photos are predicted before it is."""


class Tracker(Protocol):
    """Gives the boxes of one frame after the other ids that stay."""

    def __call__(self, boxes: Sequence[Box]) -> Sequence[int]:
        """An id for each box of the next frame."""


@dataclass(frozen=True, eq=False, repr=False)
class FrameResult:
    """What was found in a picture or frame.

    Attributes:
        frame: the picture, and where it comes from.
        values: keypoints, head poses or class scores, one for each usable box.
        identities: an id for each value, None without a tracker and for picture files.
        detections: the boxes of the values, their scores, and which detector says so.
        cut: the crops that the network saw, and why other boxes were left out.
    """

    frame: Frame
    values: Sequence[Any]
    identities: Sequence[int | None]
    detections: Detections
    cut: CutPicture

    @property
    def people(self) -> Sequence[Any]:
        """The values, as they are called where they are people's keypoints."""
        return self.values

    @property
    def whole(self) -> bool:
        """Whether nobody looked for boxes, and the whole picture was taken as one."""
        return self.detections.source == WHOLE

    def __repr__(self) -> str:
        height, width = self.frame.picture.shape[:2]
        found = f"{len(self.values)} by {self.detections.source}"
        return f"FrameResult({self.frame.label}, {height}x{width} (HxW) pixels, {found}: {list(self.values)})"


@dataclass
class Pipeline:
    """Predicts whatever a stream gives.

    Attributes:
        predictor: what predicts.
        detector: where; None takes the predictor's, and without one whole pictures.
        track: give ids to the boxes of videos and cameras.
        smooth: smooth keypoints over time; goes with ``track``.
        flip_test: average with the mirrored crops.
        batch_size: crops at a time, across frames; a camera's frames do not wait for others.
        tracker: gives the ids, instead of one by overlap that starts anew with each source.
    """

    predictor: Predictor
    detector: Detector | None = None
    track: bool = False
    smooth: bool = False
    flip_test: bool = False
    batch_size: int = 32
    tracker: Tracker | None = None
    _source: str | None = None
    _time: float = 0.0
    _ids: Tracker = field(default_factory=IouTracker)
    _smoother: KeypointSmoother = field(default_factory=KeypointSmoother)

    def __post_init__(self) -> None:
        if self.detector is None:
            self.detector = self.predictor.detector or WholePicture()
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    def run(self, items: Iterator[Frame | Notice]) -> Generator[FrameResult | Notice, None, None]:
        """Results and notices, in the order of what they are of.

        A frame that a detector fails on, and one that cannot be cut, becomes a notice; the others go on.
        """
        waiting: deque[tuple[Frame, Detections, CutPicture] | Notice] = deque()

        def cuts() -> Iterator[CutPicture]:
            with closing(ahead(self._prepared(ahead(items, _AHEAD)), _AHEAD)) as prepared:
                for entry in prepared:
                    waiting.append(entry)
                    yield CutPicture(hurry=True) if isinstance(entry, Notice) else entry[2]

        predicted = self.predictor.predict_cuts(cuts(), flip_test=self.flip_test, batch_size=self.batch_size)
        # A batch's values come all at once, and must not keep the network from the next one.
        with closing(ahead(predicted, self.batch_size)) as results:
            for values in results:
                entry = waiting.popleft()
                yield entry if isinstance(entry, Notice) else self._result(*entry, values)

    def _prepared(
        self, items: Generator[Frame | Notice, None, None]
    ) -> Iterator[tuple[Frame, Detections, CutPicture] | Notice]:
        pixels = 0
        with closing(items):
            for item in items:
                if isinstance(item, Notice):
                    yield item
                    continue
                pixels += item.picture.shape[0] * item.picture.shape[1]
                yield self._prepare(item, hurry=item.live or pixels >= _MOST_PIXELS)
                if pixels >= _MOST_PIXELS:
                    pixels = 0

    def _prepare(self, item: Frame, hurry: bool) -> tuple[Frame, Detections, CutPicture] | Notice:
        assert self.detector is not None
        try:
            found = self.detector(item.picture, None if item.path is None else str(item.path))
            boxes = None if found.source == WHOLE else found.boxes
            cut = self.predictor.cut(item.picture, boxes, hurry=hurry)
        except (ValueError, RuntimeError, MemoryError) as error:
            number = None if item.time is None else item.number
            return Notice(item.source, str(error), number=number)
        return item, found.take(cut.places), cut

    def _result(self, frame: Frame, found: Detections, cut: CutPicture, values: list[Any]) -> FrameResult:
        identities: Sequence[int | None] = [None] * len(values)
        if self.track and frame.time is not None:
            if frame.source != self._source:
                self._source, self._ids, self._smoother = frame.source, self.tracker or IouTracker(), KeypointSmoother()
                self._time = -1.0
            identities = list(self._ids(found.boxes))
            if self.smooth and frame.time > self._time:
                # A file may give two frames one time; the second is as it is.
                values = [
                    self._smoother(value, identity, frame.time) if isinstance(value, Keypoints) else value
                    for value, identity in zip(values, identities, strict=True)
                    if identity is not None
                ]
                if isinstance(self._ids, IouTracker):
                    self._smoother.keep(self._ids.identities)
            self._time = frame.time
        return FrameResult(frame, values, identities, found, cut)
