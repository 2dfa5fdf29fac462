"""The head of each task, by the task's name: one line here gives the networks a head for a new task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from cmsa.guidance.suggestion import no_such
from cmsa.models.heads.classifier import ClassificationHead
from cmsa.models.heads.deconvolution import Deconvolution
from cmsa.models.heads.head_pose import BinsHead, Rotation6DHead, SoftStagewiseHead
from cmsa.models.heads.heatmap import LinearFusion, MixerFusion
from cmsa.models.heads.map_shapes import MapShapes
from cmsa.models.heads.simcc import BINS_PER_PIXEL, SimCCHead
from cmsa.structures.installed import load_installed

FUSIONS: dict[str, Callable[[MapShapes, int], nn.Module]] = {
    "mixer": lambda maps, outputs: MixerFusion(maps.dims, outputs, maps.scales),
    "linear": lambda maps, outputs: LinearFusion(maps.dims, outputs),
    "deconvolution": Deconvolution,
}
"""How maps of the stages become one for each keypoint: from the maps and the number of keypoints. One whose maps would
begin as heatmaps has ``start_with_logits``, which is called where a loss reads logits."""
KEYPOINT_HEADS: dict[str, Callable[..., nn.Module]] = {
    "heatmap": lambda fusion, maps: fusion,
    "simcc": SimCCHead,
}
"""What is made of one map for each keypoint: from the fusion, the maps that it reads, and options."""
TASKS_GROUP = "cmsa.tasks"
"""Entry points by which packages bring tasks: modules that put their lines into the tables of tasks and heads."""
ANGLE_HEADS = {"ssr": SoftStagewiseHead, "bins": BinsHead, "rotation_6d": Rotation6DHead}


@dataclass(frozen=True)
class TaskHead:
    """What ends a network in a task.

    Attributes:
        build: the head's module, from the maps it reads and the options below, by name.
        options: names and defaults of the arguments of ``create_model`` that are the head's; those that are None are
            neither passed on nor written into weights.
        input_size: (H, W) of the images where none is asked for.
    """

    build: Callable[..., nn.Module]
    options: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] = (32, 32)


def pose_head(
    maps: MapShapes, fusion: str, num_keypoints: int, head: str = "heatmap", split: float | None = None
) -> nn.Module:
    """A head of ``KEYPOINT_HEADS`` on a fusion of ``FUSIONS``.

    Raises:
        ValueError: there is no such head or fusion, no keypoint, or ``split``, SimCC's, is given for another head.
    """
    if num_keypoints < 1:
        raise ValueError(f"num_keypoints must be at least 1, got {num_keypoints}")
    make = _choose(KEYPOINT_HEADS, head, "head")
    if split is not None and head != "simcc":
        raise ValueError(f"split is an option of the head 'simcc', not of {head!r}")
    options = {"split": BINS_PER_PIXEL if split is None else split} if head == "simcc" else {}
    module: nn.Module = make(_choose(FUSIONS, fusion, "fusion")(maps, num_keypoints), maps, **options)
    return module


def angle_head(maps: MapShapes, head: str) -> nn.Module:
    """A head of ``ANGLE_HEADS``."""
    module: nn.Module = _choose(ANGLE_HEADS, head, "head")(maps.dims)
    return module


def classification_head(maps: MapShapes, num_classes: int) -> nn.Module:
    """Logits from the pooled maps.

    Raises:
        ValueError: there is no class.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    return ClassificationHead(maps.dims, num_classes)


HEADS: dict[str, TaskHead] = {
    "pose": TaskHead(pose_head, {"fusion": "mixer", "num_keypoints": 17, "head": None, "split": None}, (32, 24)),
    "head_pose": TaskHead(angle_head, {"head": "ssr"}),
    "classification": TaskHead(classification_head, {"num_classes": 100}),
}


def head_of(task: str) -> TaskHead:
    """The entry of a task.

    Raises:
        ValueError: there is none, or an installed package that has one cannot be loaded.
    """
    if task not in HEADS:
        load_installed(TASKS_GROUP, task)
    entry: TaskHead = _choose(HEADS, task, "head for the task")
    return entry


def _choose(table: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise ValueError(no_such(what, name, table))
    return table[name]
