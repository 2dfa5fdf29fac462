"""A picture and its boxes -> a line of results, for many requests at a time. Nothing here knows HTTP."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmsa.data.untrusted import Fault, RefusedPicture, read_untrusted
from cmsa.files.write_json import plain
from cmsa.inference.chosen import chosen_detector, chosen_model, chosen_task
from cmsa.inference.cuts import CutPicture
from cmsa.inference.detectors import Detections, Detector, Selection
from cmsa.inference.detectors.detections import DetectorError, Picture
from cmsa.inference.detectors.looked_up import WHOLE, WholePicture
from cmsa.inference.detectors.selection import SelectiveDetector
from cmsa.inference.files.lines import result_line
from cmsa.inference.jsonl import Record
from cmsa.inference.pipeline import FrameResult
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Frame
from cmsa.runtime.sessions import Runtime
from cmsa.serve.batcher import Batcher, Values
from cmsa.serve.boxes import NamedBoxes
from cmsa.serve.limits import Limits
from cmsa.serve.metrics import Metrics
from cmsa.serve.refusal import Refusal

_STATUS: dict[Fault, int] = {"unknown": 415, "large": 413, "damaged": 422}
_REMEMBERING = "motion"


@dataclass(frozen=True)
class Asked:
    """What a request asks.

    Attributes:
        picture: encoded.
        boxes: where to look; None leaves it to the detector, and without one to the whole picture.
        file: what the answer calls the picture.
        image_id: of the picture in the answer.
    """

    picture: bytes
    boxes: NamedBoxes | None = None
    file: str = "picture"
    image_id: int = 1


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A picture that waits for the network, of which only the crops are left."""

    frame: Frame
    found: Detections
    cut: CutPicture


@dataclass(frozen=True)
class Batching:
    """How requests are computed.

    Attributes:
        most: crops of a batch.
        wait: seconds that a batch is waited for while other requests are on their way.
        workers: threads that decode and cut.
    """

    most: int = 32
    wait: float = 0.005
    workers: int = 2

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"at least 1 thread decodes, got {self.workers}")


class Service:
    """Predicts pictures of many requests.

    Args:
        predictor: of the one model.
        detector: finds the boxes of requests without; None takes the predictor's, and without one whole pictures.
        limits: what is taken at most.
        batching: how requests are computed.
        top: classes to answer with.
        flip_test: average with the mirrored crops.

    Attributes:
        metrics: what was done.
        ready: whether the network has run.
        example: then, the entry of a value among an answer's predictions, to tell its form by.
        failed: why it cannot.

    Raises:
        DetectorError: the detector remembers pictures of one camera.
    """

    def __init__(
        self,
        predictor: Predictor,
        detector: Detector | None = None,
        limits: Limits | None = None,
        batching: Batching | None = None,
        *,
        top: int = 5,
        flip_test: bool = False,
    ) -> None:
        if top < 1:
            raise ValueError(f"at least 1 class is answered with, got {top}")
        self.predictor, self.limits, self.batching = predictor, limits or Limits(), batching or Batching()
        self.detector = detector or predictor.detector or WholePicture()
        if self.detector.source == _REMEMBERING:
            raise DetectorError("motion compares the pictures of one camera, and a server gets those of many")
        self.top, self.flip_test = top, flip_test
        self.metrics = Metrics()
        self.ready = False
        self.example: Record = {}
        self.failed: Exception | None = None
        self._detecting = threading.Lock()
        self._pool = ThreadPoolExecutor(self.batching.workers, thread_name_prefix="decode")
        self._batcher = Batcher(self._compute, self.batching.most, self.batching.wait, self.metrics.batch)

    def warm_up(self) -> None:
        """Let the network run once alone and once in a full batch: another runtime exports it first, see ``failed``."""
        height, width = self.predictor.description.input_size
        try:
            cut = self.predictor.cut(np.zeros((height, width, 3), np.uint8), None)
            for count in (self.batching.most, 1):
                values = self._compute([cut] * count)
            self.example = dict(plain(self.predictor.task.record(values[0][0], 1.0, self.top)))
            self.ready = True
        except Exception as error:
            self.failed = error

    async def answer(self, asked: Asked) -> Record:
        """The answer to a request: a line as in ``results.jsonl``. If this is cancelled, so is what has not begun.

        Raises:
            Refusal: the picture or its boxes are not taken.
        """
        with self._batcher.coming():
            prepared = await asyncio.get_running_loop().run_in_executor(self._pool, self._prepare, asked)
            waiting = self._batcher.submit(prepared.cut)
        values = await asyncio.wrap_future(waiting)
        result = FrameResult(prepared.frame, values, [None] * len(values), prepared.found, prepared.cut)
        return dict(plain(result_line(result, self.predictor.task, self.top, asked.image_id)))

    def close(self) -> None:
        """End the threads when what they have begun is done."""
        self._pool.shutdown()
        self._batcher.close()

    def _prepare(self, asked: Asked) -> _Prepared:
        try:
            picture = read_untrusted(asked.picture, self.limits.megapixels)
        except RefusedPicture as error:
            raise Refusal(_STATUS[error.fault], str(error), "picture") from error
        found = asked.boxes.of_picture(*picture.shape[:2]) if asked.boxes else self._detect(picture)
        cut = self.predictor.cut(picture, None if found.source == WHOLE else found.boxes)
        # Its size is all that is still wanted; the pixels must not wait with the crops.
        size_alone: Any = np.broadcast_to(np.uint8(0), picture.shape)
        return _Prepared(Frame(size_alone, asked.file), found.take(cut.places), cut)

    def _detect(self, picture: Picture) -> Detections:
        with self._detecting:  # OpenCV's are not made for threads
            found = self.detector(picture, None)
        return Selection(maximum=self.limits.boxes)(found)

    def _compute(self, cuts: Any) -> list[Values]:
        return list(self.predictor.predict_cuts(cuts, flip_test=self.flip_test, batch_size=self.batching.most))


def load_predictor(
    command: str,
    weights: str | Path | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    runtime: Runtime | None = None,
) -> Predictor:
    """The model of a server.

    Args:
        command: what the command line calls the task: ``pose``, ``head-pose``, ``classify``, or another's.
        weights: what ``Predictor.from_pretrained`` takes; by default those of the task.
        device: as for ``Predictor``.
        threads: as for ``Predictor``.
        runtime: None takes the fastest that is installed.

    Raises:
        ValueError: there is no such task or runtime, or the weights are for another task.
        FileNotFoundError: there are no such weights.
    """
    model = chosen_model(chosen_task(command), weights)
    return Predictor(model, device=device, threads=threads, runtime=runtime)


def load_detector(
    text: str, predictor: Predictor, selection: Selection | None = None, threads: int | None = None
) -> Detector:
    """The detector of a server, see ``make_detector``; ``head:DETECTOR``, too.

    Raises:
        DetectorError: there is no such detector, or it finds boxes by the names of files.
    """
    selection = selection or Selection()
    if text.split("?")[0].lower().endswith(".json"):
        raise DetectorError(f"{text}: boxes of a file belong to its pictures, and a server gets others: send them")
    found = chosen_detector(text, predictor.task, selection, threads)
    return found if selection == Selection() else SelectiveDetector(found, selection)
