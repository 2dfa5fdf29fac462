"""What is chosen by words, on a command line: a task, its weights, a detector."""

from __future__ import annotations

from pathlib import Path

from cmsa.inference.detectors import Detector, Selection, make_detector
from cmsa.inference.heads import PREFIX, make_head_detector
from cmsa.models.base import BaseNetwork
from cmsa.models.create import load_weights
from cmsa.models.pretrained import default_weights, find_weights
from cmsa.models.weights import describe
from cmsa.tasks import Task, commands


def chosen_task(command: str) -> type[Task]:
    """The task that the command line calls ``pose``, ``head-pose``, ``classify``, or another's.

    Raises:
        ValueError: there is no such task.
    """
    tasks = commands()
    if command not in tasks:
        raise ValueError(f"no task {command!r}; there are {', '.join(tasks)}")
    return tasks[command]


def chosen_model(task: type[Task], weights: str | Path | None) -> BaseNetwork:
    """Weights for a task: what ``find_weights`` takes; None takes the task's default.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they are for another task.
    """
    name = weights or default_weights(task.name)
    model = load_weights(find_weights(name))
    found = describe(model).task
    if found != task.name:
        raise ValueError(f"weights {name}: they are for {found}, not for {task.name}")
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
