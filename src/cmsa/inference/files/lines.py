"""A result -> its line in ``results.jsonl``."""

from __future__ import annotations

from collections.abc import Sequence

from cmsa.inference.jsonl import Record
from cmsa.inference.pipeline import FrameResult
from cmsa.inference.streams import Notice
from cmsa.tasks import Task


def result_line(result: FrameResult, task: Task, top: int, image_id: int) -> Record:
    """What is kept of a picture or frame.

    Returns:
        ``file``; of videos and cameras ``frame`` and ``time`` in seconds; ``image_id``, ``height``, ``width``;
        ``detector``, who says where the boxes are; ``predictions``, each with ``bbox`` (x, y, width, height),
        ``box_score``, ``id`` where it is tracked, and what the task keeps of a value; ``skipped``, boxes that could not
        be used, and why.
    """
    frame, found = result.frame, result.detections
    line: Record = {"file": frame.source}
    if frame.time is not None:
        line |= {"frame": frame.number, "time": frame.time}
    height, width = frame.picture.shape[:2]
    line |= {"image_id": image_id, "height": height, "width": width, "detector": found.source}
    predictions = []
    for value, identity, score in zip(result.values, result.identities, found.scores, strict=True):
        prediction: Record = {"bbox": _rounded(value.box.xywh), "box_score": round(score, 6)}
        if identity is not None:
            prediction["id"] = identity
        predictions.append(prediction | task.record(value, score, top))
    line["predictions"] = predictions
    reasons = {**found.reasons, **result.cut.reasons}
    if reasons:
        line["skipped"] = [{"box": place, "reason": reason} for place, reason in reasons.items()]
    return line


def notice_line(notice: Notice) -> Record:
    """What is kept of something that failed: ``file``, ``frame`` where it has one, and ``error``."""
    line: Record = {"file": notice.source}
    if notice.number is not None:
        line["frame"] = notice.number
    return line | {"error": notice.text}


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(float(number), 4) for number in numbers]
