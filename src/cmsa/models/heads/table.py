"""The head of each task, by the task's name: one line here gives the networks a head for a new task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from cmsa.models.heads.classifier import ClassificationHead
from cmsa.models.heads.head_pose import BinsHead, Rotation6DHead, SoftStagewiseHead
from cmsa.models.heads.heatmap import LinearFusion, MixerFusion

FUSIONS = {"mixer": MixerFusion, "linear": LinearFusion}
ANGLE_HEADS = {"ssr": SoftStagewiseHead, "bins": BinsHead, "rotation_6d": Rotation6DHead}


@dataclass(frozen=True)
class TaskHead:
    """What ends a network in a task.

    Attributes:
        build: the head's module, from the channels of the maps it reads and the options below, by name.
        options: names and defaults of the arguments of ``create_model`` that are the head's.
        input_size: (H, W) of the images where none is asked for.
    """

    build: Callable[..., nn.Module]
    options: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] = (32, 32)


def pose_head(dims: Sequence[int], fusion: str, num_keypoints: int) -> nn.Module:
    """A head of ``FUSIONS`` that puts out a heatmap for each keypoint."""
    head: nn.Module = _choose(FUSIONS, fusion, "fusion")(dims, num_keypoints)
    return head


def angle_head(dims: Sequence[int], head: str) -> nn.Module:
    """A head of ``ANGLE_HEADS`` for maps of ``dims`` channels."""
    module: nn.Module = _choose(ANGLE_HEADS, head, "head")(dims)
    return module


HEADS: dict[str, TaskHead] = {
    "pose": TaskHead(pose_head, {"fusion": "mixer", "num_keypoints": 17}, (32, 24)),
    "head_pose": TaskHead(angle_head, {"head": "ssr"}),
    "classification": TaskHead(ClassificationHead, {"num_classes": 100}),
}


def head_of(task: str) -> TaskHead:
    """The entry of a task.

    Raises:
        ValueError: there is none.
    """
    entry: TaskHead = _choose(HEADS, task, "head for the task")
    return entry


def _choose(table: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise ValueError(f"no {what} {name!r}; there are {', '.join(table)}")
    return table[name]
