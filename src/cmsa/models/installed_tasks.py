"""Tasks of installed packages: a module of theirs puts its lines into the tables of tasks and heads when it is loaded.

A package names it by an entry point of the group ``cmsa.tasks``, whose name is the task's. It is loaded when the task
is first asked for, and not before.
"""

from __future__ import annotations

from importlib.metadata import entry_points

GROUP = "cmsa.tasks"


def installed_tasks() -> list[str]:
    """Names of the tasks that installed packages bring."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def load_installed(task: str) -> None:
    """Load what an installed package has for a task; nothing, where none has.

    Raises:
        ValueError: what the package names cannot be loaded.
    """
    for entry in entry_points(group=GROUP, name=task):
        try:
            entry.load()
        except (ImportError, AttributeError) as error:
            raise ValueError(f"task {task!r}: {entry.value} cannot be loaded ({error})") from error
