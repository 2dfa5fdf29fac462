"""What is chosen by words, on a command line: a task, its weights, a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cmsa.data.boxes import DetectionFile, list_boxes
from cmsa.guidance.suggestion import no_such
from cmsa.inference.detectors import Detector, Selection, make_detector
from cmsa.inference.detectors.looked_up import DetectionFileDetector, GivenBoxes
from cmsa.inference.heads import PREFIX, make_head_detector
from cmsa.models.base import BaseNetwork
from cmsa.models.create import load_weights
from cmsa.models.pretrained import default_weights, find_weights
from cmsa.tasks import Task, commands


def chosen_task(command: str) -> type[Task]:
    """The task that the command line calls ``pose``, ``head-pose``, ``classify``, or another's.

    Raises:
        ValueError: there is no such task.
    """
    tasks = commands()
    if command not in tasks:
        raise ValueError(no_such("task", command, tasks))
    return tasks[command]


def chosen_weights(task: type[Task], weights: str | Path | None) -> Path:
    """The weights file for a task: what ``find_weights`` takes; None takes the task's default.

    Raises:
        FileNotFoundError: there are no such weights.
    """
    return find_weights(weights or default_weights(task.name))


def chosen_model(task: type[Task], weights: str | Path | None) -> BaseNetwork:
    """The network of ``chosen_weights``.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they are for another task.
    """
    model = load_weights(chosen_weights(task, weights))
    found = model.description.task
    if found != task.name:
        raise ValueError(f"weights {weights}: they are for {found}, not for {task.name}")
    return model


def chosen_detector(text: str, task: Task, selection: Selection | None, threads: int | None) -> Detector:
    """A detector by what ``make_detector`` takes, or ``head:`` and that; it knows the least score that is wanted.

    Raises:
        DetectorError: there is no such detector.
    """
    if text.startswith(PREFIX):
        return make_head_detector(text, threads)
    defaults: dict[str, object] = {"category": task.category}
    if selection is not None and selection.score > 0:
        defaults["score"] = selection.score
    return make_detector(text, threads=threads, **defaults)


def chosen_boxes(
    task: Task,
    path: str | Path | None,
    box: Sequence[object] | None,
    detector: str | None,
    selection: Selection | None,
    threads: int | None,
) -> tuple[Detector | None, DetectionFile | None]:
    """What finds the boxes, and the file of boxes, if it is one.

    Args:
        task: that the boxes are for.
        path: of a COCO detection file.
        box: one box or several, the same for every picture.
        detector: what ``chosen_detector`` takes.
        selection: whose least score the detector is to know; it is not applied yet.
        threads: of the detector.

    Raises:
        ValueError: two of the three are given, or what is given cannot be read.
    """
    if sum(given is not None for given in (path, box, detector)) > 1:
        raise ValueError("give a file of boxes, the boxes themselves or a detector, not two of them")
    if box is not None:
        return GivenBoxes(list_boxes(box)), None
    if path is not None:
        found: Detector = DetectionFileDetector(path, task.category)
    elif detector is not None:
        found = chosen_detector(detector, task, selection, threads)
    else:
        return None, None
    return found, found.file if isinstance(found, DetectionFileDetector) else None
