"""Which options can do anything for which inputs, boxes and tasks; one that cannot is refused, not swallowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from cmsa.inference.detectors import Detector, DetectorError
from cmsa.inference.detectors.looked_up import WHOLE, GivenBoxes
from cmsa.inference.streams import Notice, Source
from cmsa.tasks import Task

_OF_FRAMES = frozenset(("save_video", "track", "smooth", "every", "fps", "start", "end", "drop", "give_up"))
_OF_DETECTIONS = frozenset(("threshold", "min_size", "max_people", "expand"))
_OF_TASKS = {
    "top": "tasks that give classes",
    "cube": "head pose",
    "smooth": "keypoints",
}


def may_move(sources: Iterable[Source | Notice]) -> bool:
    """Whether there is a video or camera among the inputs; True too where there is nothing, or it is not known yet."""
    kinds = [source.kind for source in sources if isinstance(source, Source)] if isinstance(sources, list) else []
    return not kinds or any(kind != "picture" for kind in kinds)


def may_follow(sources: Iterable[Source | Notice]) -> bool:
    """Whether there may be pictures that follow on one another: a fixed camera's frames may be files of a folder."""
    alone = isinstance(sources, list) and sum(isinstance(source, Source) for source in sources) == 1
    return may_move(sources) or not alone


def refuse_idle(
    asked: Mapping[str, bool],
    *,
    moving: bool,
    following: bool,
    detector: Detector | None,
    task: Task,
    spell: Callable[[str], str] = str,
) -> None:
    """Refuse what cannot do anything.

    Args:
        asked: options by name, and whether they were asked for.
        moving: whether there is a video or camera among the inputs.
        following: whether pictures are read one after the other, and may follow on one another.
        detector: where boxes come from.
        task: what is predicted.
        spell: an option's name as its user writes it.

    Raises:
        DetectorError: the detector cannot find anything in these inputs, or not what the task is of.
        ValueError: an option cannot do anything; the message names it and says why.
    """
    for name in (name for name, given in asked.items() if given):
        if name in _OF_FRAMES and not moving:
            raise ValueError(f"{spell(name)} is for videos and cameras, and the inputs are photos")
        if name in _OF_DETECTIONS and (detector is None or detector.source in (GivenBoxes.source, WHOLE)):
            raise ValueError(f"{spell(name)} is for boxes of a detector or of a file, and there is neither")
        if name in _OF_TASKS and name not in task.options:
            raise ValueError(f"{spell(name)} is for {_OF_TASKS[name]}, and the task is {task.command}")
    found_by = [] if detector is None else detector.source.split(", ")
    if "motion" in found_by and not following:
        raise DetectorError("motion compares each picture with those before it, and here each is taken alone")
    of_faces = any(source.startswith(("face:", "head of keypoints")) for source in found_by)
    if of_faces and any("shoulder" in name for name in task.label_names):
        raise DetectorError(f"the detector finds faces, and {task.command} of these weights is of whole people")
