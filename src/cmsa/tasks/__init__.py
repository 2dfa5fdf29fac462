"""The tasks. A task is a class that owns whatever depends on it, see ``cmsa.tasks.task``, and a line in this table."""

from __future__ import annotations

from cmsa.guidance.suggestion import no_such
from cmsa.models.base import BaseNetwork
from cmsa.models.heads.table import TASKS_GROUP
from cmsa.models.weights import reading
from cmsa.structures.installed import installed_names, load_installed
from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.head_pose import HeadPoseTask
from cmsa.tasks.pose.task import PoseTask
from cmsa.tasks.task import Output, Task

__all__ = ["TASKS", "Output", "Task", "commands", "task_named", "task_of"]

TASKS: dict[str, type[Task]] = {task.name: task for task in (PoseTask, HeadPoseTask, ClassificationTask)}
"""The tasks by their names."""


def task_named(name: str) -> type[Task]:
    """A task's class, of ours or of an installed package.

    Raises:
        ValueError: there is none of this name, or the package that has it cannot be loaded.
    """
    if name not in TASKS:
        load_installed(TASKS_GROUP, name)
    if name not in TASKS:
        raise ValueError(no_such("task", name, TASKS))
    return TASKS[name]


def task_of(model: BaseNetwork) -> Task:
    """The task that a model was trained for, as it was trained.

    Raises:
        ValueError: there is no such task, or what the model says of itself does not hold together; of a model that was
            loaded the file is named.
    """
    with reading(model) as description:
        return task_named(description.task).from_description(description, model.heatmap_size)


def commands() -> dict[str, type[Task]]:
    """The tasks by what the command line calls them, those of installed packages last."""
    for name in installed_names(TASKS_GROUP):
        task_named(name)
    return {task.command: task for task in TASKS.values()}
