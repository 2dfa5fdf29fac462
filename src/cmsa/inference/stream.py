"""From a camera, a video or photos to people, in one loop."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from cmsa.inference.applies import may_follow, may_move, refuse_idle
from cmsa.inference.chosen import chosen_detector
from cmsa.inference.detectors import Detector, Selection, as_detector
from cmsa.inference.detectors.selection import SelectiveDetector
from cmsa.inference.pipeline import FrameResult, Pipeline, Tracker
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Frame, Notice, Reading, Retry, Source, SourceFinder, read_frames
from cmsa.models.pretrained import default_weights
from cmsa.runtime.sessions import Precision, Runtime

Inputs = str | Path | int | Iterable[str | Path | int]

logger = logging.getLogger(__name__)


def stream(
    source: Inputs,
    *,
    predictor: Predictor | str | Path | None = None,
    weights: str | Path | None = None,
    detector: str | Path | Detector | None = None,
    selection: Selection | None = None,
    tracker: bool | Tracker = True,
    smooth: bool = False,
    every: int = 1,
    fps: float | None = None,
    start: float = 0.0,
    end: float | None = None,
    drop: bool = False,
    recursive: bool = True,
    retry: Retry | None = None,
    batch_size: int = 32,
    flip_test: bool = False,
    runtime: Runtime | None = None,
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision = "float32",
    exported: str | Path | None = None,
) -> Iterator[FrameResult]:
    """Predict every frame of cameras, videos and pictures, one after the other, in constant memory.

    ``for frame in cmsa.stream("rtsp://...", detector="motion"): print(frame.people)``

    The arguments are the options of ``cmsa predict``, with their defaults; but ids are given unless told otherwise.

    Args:
        source: what ``SourceFinder.find`` takes: files, folders, globs, addresses; a number is a camera of this
            machine; or several of these.
        predictor: a ``Predictor``, or weights for one; None makes one.
        weights: of the predictor that is made here, see ``Predictor.from_pretrained``; None takes the shipped ones for
            human pose.
        detector: finds the boxes, see ``chosen_detector``; None takes the predictor's, and without one each whole
            picture is one person.
        selection: which of its findings count.
        tracker: True gives people in videos ids by the overlap of their boxes; or a tracker of one's own.
        smooth: smooth their keypoints over time (One-Euro); tracks, too.
        every: of videos and cameras, every n-th frame.
        fps: of videos and cameras, at most so many frames a second.
        start: seconds to leave out at the beginning.
        end: seconds from the beginning at which to stop.
        drop: of cameras, give the newest frame and drop what came meanwhile.
        recursive: look into sub-folders.
        retry: how a camera that does not answer or is gone is tried again.
        batch_size: crops at a time, across the frames of files.
        flip_test: average with the mirrored crops.
        runtime: of the predictor that is made here; None takes the fastest that is installed.
        device: of that predictor.
        threads: of that predictor.
        precision: of that predictor.
        exported: of that predictor.

    Yields:
        A ``FrameResult`` for each frame; without anyone in it, an empty one. What cannot be read is logged as a
        warning and the rest goes on; so is a camera that does not answer, is gone or back.

    Raises:
        FileNotFoundError: a file, folder or pattern that was named is not there.
        OSError: nothing at all could be read; at the end, with the reason.
        ValueError: an argument is out of its range or cannot do anything here (``smooth`` for photos, a selection
            without a detector), there is no such detector, or no such weights.

    Examples:
        >>> from pathlib import Path
        >>> for frame in stream("examples/people/*.jpg", detector="examples/people/boxes.json"):
        ...     print(Path(frame.frame.source).name, len(frame.people))
        astronaut.jpg 1
        park.jpg 2
        photographer.jpg 1
    """
    if not callable(tracker) and not isinstance(tracker, bool):
        raise ValueError(f"tracker must be True, False or a tracker, got {tracker!r}")
    if isinstance(predictor, Predictor):
        asked_of_it = {
            "weights": weights is not None,
            "runtime": runtime is not None,
            "device": device != "cpu",
            "threads": threads is not None,
            "precision": precision != "float32",
            "exported": exported is not None,
        }
        idle = [name for name, given in asked_of_it.items() if given]
        if idle:
            raise ValueError(f"{', '.join(idle)}: of a predictor that is made here, and one is given")
    else:
        if predictor is not None and weights is not None:
            raise ValueError("give a predictor or weights, not both")
        predictor = Predictor.from_pretrained(
            weights or predictor or default_weights("pose"),
            runtime=runtime,
            device=device,
            threads=threads,
            precision=precision,
            exported=exported,
        )
    if isinstance(detector, str | Path):
        found: Detector | None = chosen_detector(str(detector), predictor.task, selection, threads)
    else:
        found = predictor.detector if detector is None else as_detector(detector)
    reading = Reading(every, fps, start, end, drop, retry or Retry())
    inputs = _listed(source)
    sources: Iterable[Source | Notice] = _there(SourceFinder(recursive).find(inputs))
    if "-" not in inputs:  # who writes to standard input may go on doing so
        sources = list(sources)
    # One program for photos and cameras alike may well drop and retry.
    asked = reading.asked() | {"smooth": smooth, "drop": False, "give_up": False}
    chosen = selection or Selection()
    refuse_idle(
        asked | chosen.asked(),
        moving=may_move(sources),
        following=may_follow(sources),
        detector=found,
        task=predictor.task,
    )
    if found is not None and selection is not None:
        found = SelectiveDetector(found, selection)
    own = None if isinstance(tracker, bool) else tracker
    track = smooth or own is not None or bool(tracker)
    pipeline = Pipeline(predictor, found, track, smooth, flip_test, batch_size, own)
    return _results(pipeline, read_frames(sources, reading))


def _listed(source: Inputs) -> list[str]:
    given = [source] if isinstance(source, str | int | os.PathLike) else source
    return [str(one) if isinstance(one, int) else os.fspath(one) for one in given]


def _there(sources: Iterator[Source | Notice]) -> Iterator[Source | Notice]:
    for source in sources:
        if isinstance(source, Notice) and source.missing:
            raise FileNotFoundError(f"{source.source}: {source.text}")
        yield source


def _results(pipeline: Pipeline, items: Iterator[Frame | Notice]) -> Iterator[FrameResult]:
    told_of_whole = came = False
    failed: str | None = None
    for item in pipeline.run(items):
        if isinstance(item, Notice):
            logger.warning("%s: %s", item.label, item.text)
            if item.failed and failed is None:
                failed = f"{item.label}: {item.text}"
            continue
        came = True
        if item.whole and not told_of_whole:
            told_of_whole = True
            logger.info("%s: no detector, so each whole picture is taken as one person", item.frame.source)
        yield item
    if failed is not None and not came:
        raise OSError(failed)
