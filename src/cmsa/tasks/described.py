"""The task that a model's description asks for."""

from __future__ import annotations

from cmsa.models.description import Description
from cmsa.structures import COCO, KeypointSet
from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.head_pose import HeadPoseTask
from cmsa.tasks.pose.task import PoseTask

AnyTask = PoseTask | HeadPoseTask | ClassificationTask

_UNKNOWN_SIGMA = 0.05


def task_of(description: Description, heatmap_size: tuple[int, int]) -> AnyTask:
    """The task that a model was trained for, as it was trained.

    Args:
        description: of the model.
        heatmap_size: (h, w) of its first stage's map; only pose needs it.
    """
    if description.task == "pose":
        return pose_task(description, heatmap_size)
    if description.task == "head_pose":
        return head_pose_task(description)
    return classification_task(description)


def pose_task(description: Description, heatmap_size: tuple[int, int]) -> PoseTask:
    """Decodes the heatmaps (h, w) of a pose model as it was trained."""
    names = description.names or _default_names(description)
    decoding = {"codec": "udp", "sigma": None, "loss": "mse"} | description.decoding
    return PoseTask(
        description.input_size,
        heatmap_size,
        decoding["codec"],
        keypoint_set(names),
        decoding["sigma"],
        decoding["loss"],
    )


def head_pose_task(description: Description) -> HeadPoseTask:
    """Decodes the angles of a head pose model."""
    return HeadPoseTask(description.options.get("head", "ssr"), description.decoding.get("alpha", 1.0))


def classification_task(description: Description) -> ClassificationTask:
    """Tells the classes of a model apart."""
    smoothing = description.decoding.get("label_smoothing", 0.0)
    return ClassificationTask(description.options.get("num_classes", len(description.names)), smoothing)


def keypoint_set(names: tuple[str, ...]) -> KeypointSet:
    """COCO's, or one made of names, in which ``left_x`` and ``right_x`` mirror each other."""
    if names == COCO.names:
        return COCO
    pairs = tuple(
        (place, names.index(f"right_{name.removeprefix('left_')}"))
        for place, name in enumerate(names)
        if name.startswith("left_") and f"right_{name.removeprefix('left_')}" in names
    )
    return KeypointSet(names, pairs, (_UNKNOWN_SIGMA,) * len(names), (), ())


def _default_names(description: Description) -> tuple[str, ...]:
    count = description.options.get("num_keypoints", len(COCO))
    return COCO.names if count == len(COCO) else tuple(f"keypoint_{index}" for index in range(count))
