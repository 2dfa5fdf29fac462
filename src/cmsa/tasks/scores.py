"""Accounts of a network's scores over an evaluation store, one class for each task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.data.transforms.augment import invert, transform_points
from cmsa.geometry.rotations import flip_angles
from cmsa.metrics.oks import coco_results, evaluate_keypoints, oks_nms, pck, rescore
from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.described import AnyTask
from cmsa.tasks.head_pose import HeadPoseTask
from cmsa.tasks.pose.task import PoseTask

NMS_THRESHOLD = 0.9
GROUND_TRUTH = "ground truth"


class Score(Protocol):
    """Collects what a network says of a store, batch by batch; the result does not depend on the batches' size."""

    def reset(self) -> None:
        """Forget what was collected."""

    def update(self, batch: Mapping[str, Tensor], output: Tensor, mirrored: Tensor | None = None) -> None:
        """Take the network's output for a batch of the store.

        Args:
            batch: the store's labels.
            output: for the images.
            mirrored: for the mirrored images, where both are to be averaged (flip test).
        """

    def compute(self) -> dict[str, Any]:
        """Names and values of what was collected; the first value is the one that decides."""


def score_of(task: AnyTask, store: CropStore) -> Score:
    """An empty account for a store."""
    if isinstance(task, PoseTask):
        return PoseScore(task, store)
    return HeadPoseScore(task, store) if isinstance(task, HeadPoseTask) else ClassificationScore(task, store)


class PoseScore:
    """Average precision by object keypoint similarity, and PCK.

    Args:
        task: decodes heatmaps.
        store: what is evaluated; its ``meta`` names the annotations and the boxes' source.
        annotations: the annotations, where they have moved.
    """

    def __init__(self, task: PoseTask, store: CropStore, annotations: Path | None = None) -> None:
        self.task, self.store = task, store
        self.annotations = Path(annotations or store.meta["annotations"])
        self.box_source = str(store.meta.get("box_source", GROUND_TRUTH))
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self.batches: list[dict[str, Tensor]] = []

    def update(self, batch: Mapping[str, Tensor], output: Tensor, mirrored: Tensor | None = None) -> None:
        """As ``Score.update``; heatmaps are averaged."""
        xy, scores = self.task.decode(self.task.average(output, mirrored))
        picture = transform_points(xy, invert(batch["matrix"].float()))
        kept = {name: batch[name] for name in ("image_id", "keypoints", "area", "score", "box")}
        self.batches.append({name: value.cpu() for name, value in (kept | {"xy": picture, "scores": scores}).items()})

    def compute(self) -> dict[str, Any]:
        """AP, AP50, AP75, APM, APL, AR (OKS), PCK@0.2 by the torso, people, and where the boxes came from."""
        collected = {
            name: torch.cat([batch[name] for batch in self.batches]).double().numpy() for name in self.batches[0]
        }
        detected = self.box_source != GROUND_TRUTH
        results = self.results(collected, suppress=detected)
        table: dict[str, Any] = dict(evaluate_keypoints(self.annotations, results, self.task.keypoint_set))
        if not detected:
            truth = collected["keypoints"]
            table["PCK@0.2"] = pck(collected["xy"], truth[..., :2], truth[..., 2] > 0).mean
        return table | {"boxes": self.box_source, "crops": len(collected["xy"])}

    def results(self, collected: dict[str, NDArray[Any]], *, suppress: bool) -> list[dict[str, Any]]:
        """COCO results; OKS-NMS at 0.9 where boxes were detected and may repeat a person."""
        image_ids = collected["image_id"].astype(np.int64)
        scores = rescore(collected["scores"], collected["score"])
        kept = np.arange(len(image_ids))
        if suppress:
            sigmas = self.task.keypoint_set.sigmas
            areas = collected["box"][:, 2] * collected["box"][:, 3]
            groups = [np.flatnonzero(image_ids == image) for image in np.unique(image_ids)]
            kept = np.concatenate(
                [
                    group[oks_nms(collected["xy"][group], scores[group], areas[group], sigmas, NMS_THRESHOLD)]
                    for group in groups
                ]
            )
        return coco_results(image_ids[kept].tolist(), collected["xy"][kept], collected["scores"][kept], scores[kept])


class HeadPoseScore:
    """Errors of predicted angles."""

    def __init__(self, task: HeadPoseTask, store: CropStore) -> None:
        self.task, self.store = task, store
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self.errors = self.task.metrics()
        self.truth: list[Tensor] = []

    def update(self, batch: Mapping[str, Tensor], output: Tensor, mirrored: Tensor | None = None) -> None:
        """As ``Score.update``; angles are averaged."""
        angles = self.task.decode(output)
        if mirrored is not None:
            angles = (angles + flip_angles(self.task.decode(mirrored))) / 2
        self.errors.update(angles, batch["angles"])
        self.truth.append(batch["angles"].cpu())

    def compute(self) -> dict[str, Any]:
        """What ``HeadPoseErrors`` has, and how it came about.

        ``constant`` is the mean absolute error of the best answer that is the same for every head, the medians of
        this very set: what a network is worth is what it is better by. ``boxes`` and ``margin`` say how faces were
        cut.
        """
        truth = torch.cat(self.truth)
        constant = (truth - truth.median(dim=0).values).abs().mean().item()
        cut = {"boxes": self.store.meta.get("box_source", "unknown"), "margin": self.store.meta.get("margin", "none")}
        return dict(self.errors.compute()) | {"constant": constant} | cut


class ClassificationScore:
    """Accuracy, likelihood and calibration of predicted classes."""

    def __init__(self, task: ClassificationTask, store: CropStore) -> None:
        self.task, self.store = task, store
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self.errors = self.task.metrics()

    def update(self, batch: Mapping[str, Tensor], output: Tensor, mirrored: Tensor | None = None) -> None:
        """As ``Score.update``; probabilities are averaged."""
        scores = output.float().log_softmax(dim=1)
        if mirrored is not None:
            scores = torch.logaddexp(scores, mirrored.float().log_softmax(dim=1))
        self.errors.update(scores, batch["label"])

    def compute(self) -> dict[str, Any]:
        """What ``ClassificationErrors`` has, and the data's own name."""
        return dict(self.errors.compute()) | {"data": self.store.meta.get("data", "unknown")}
