"""The scores of keypoints on an evaluation store: average precision by object keypoint similarity, and PCK."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.geometry.affine import apply_affine, invert_affine
from cmsa.metrics.bootstrap import Interval
from cmsa.metrics.keypoint_intervals import keypoint_intervals
from cmsa.metrics.keypoint_truth import KeypointTruth
from cmsa.metrics.oks import (
    METRICS,
    PCK_OF_BOX,
    PCK_OF_TORSO,
    coco_results,
    evaluate_keypoints,
    keypoint_similarity,
    oks_matrix,
    oks_nms,
    pck_of_set,
    rescore,
)
from cmsa.metrics.score import Batch, Decoded, Submission
from cmsa.structures import KeypointSet
from cmsa.structures.keypoint_set import SIGMAS_OF_COCO

NMS_THRESHOLD = 0.9
GROUND_TRUTH = "ground truth"
SCORES = (*METRICS, "people", PCK_OF_TORSO, PCK_OF_BOX)
"""All that ``PoseScore`` may come to: the store decides by which length its PCK is, and whether it has one."""


class FoundKeypoints(Submission):
    """The keypoints of a store's people in their pictures, which need no truth.

    Args:
        keypoint_set: what the keypoints are.
        store: what they are sought in; its ``meta`` says where the boxes came from.
    """

    def __init__(self, keypoint_set: KeypointSet, store: CropStore) -> None:
        self.keypoint_set = keypoint_set
        self.box_source = str(store.meta.get("box_source", GROUND_TRUTH))
        self.reset()

    @property
    def detected(self) -> bool:
        """Whether the boxes were detected, and may repeat a person or show nobody."""
        return self.box_source != GROUND_TRUTH

    def reset(self) -> None:
        """Forget what was collected."""
        self.batches: list[dict[str, Tensor]] = []

    def update(self, batch: Batch, decoded: Decoded) -> None:
        """Take keypoints (B, K, 2) in pixels of the crops, and their scores (B, K)."""
        xy, scores = decoded
        picture = apply_affine(invert_affine(batch["matrix"].float()), xy)
        kept = {name: batch[name] for name in ("image_id", "keypoints", "area", "score", "box")}
        self.batches.append({name: value.cpu() for name, value in (kept | {"xy": picture, "scores": scores}).items()})

    def compute(self) -> dict[str, Any]:
        """Where the boxes came from, and how many crops there were."""
        return {"boxes": self.box_source, "crops": sum(len(batch["xy"]) for batch in self.batches)}

    def entries(self) -> list[dict[str, Any]]:
        """COCO results; OKS-NMS at 0.9 where boxes were detected and may repeat a person."""
        return self.results(self.collected(), suppress=self.detected)

    def collected(self) -> dict[str, NDArray[Any]]:
        """What was collected, by name: arrays whose first axis is that of the crops."""
        return {name: torch.cat([batch[name] for batch in self.batches]).double().numpy() for name in self.batches[0]}

    def results(self, collected: dict[str, NDArray[Any]], *, suppress: bool) -> list[dict[str, Any]]:
        """COCO results of what was collected; people who were found twice are left out where asked."""
        image_ids = collected["image_id"].astype(np.int64)
        scores = rescore(collected["scores"], collected["score"])
        kept = np.arange(len(image_ids))
        if suppress:
            sigmas = self.keypoint_set.sigmas
            areas = collected["box"][:, 2] * collected["box"][:, 3]
            groups = [np.flatnonzero(image_ids == image) for image in np.unique(image_ids)]
            kept = np.concatenate(
                [
                    group[oks_nms(collected["xy"][group], scores[group], areas[group], sigmas, NMS_THRESHOLD)]
                    for group in groups
                ]
            )
        return coco_results(
            image_ids[kept].tolist(),
            collected["xy"][kept],
            collected["scores"][kept],
            scores[kept],
            self.keypoint_set.category_id,
        )


class PoseScore(FoundKeypoints):
    """Average precision by object keypoint similarity, and PCK.

    Args:
        keypoint_set: what the keypoints are.
        store: what is evaluated; it keeps whom the score counts, and its ``meta`` the boxes' source.

    Raises:
        StoreError: the store does not know whom to count, see ``KeypointTruth.of_store``.
    """

    ranked_by: ClassVar[tuple[str, Literal["max", "min"]]] = ("oks", "max")

    def __init__(self, keypoint_set: KeypointSet, store: CropStore) -> None:
        super().__init__(keypoint_set, store)
        self.truth = KeypointTruth.of_store(store)

    def compute(self) -> dict[str, Any]:
        """AP, AP50, AP75, APM, APL, AR (OKS), PCK@0.2, people, where boxes and, if not COCO's, sigmas came from."""
        collected = self.collected()
        results = self.results(collected, suppress=self.detected)
        points = self.keypoint_set
        table: dict[str, Any] = dict(evaluate_keypoints(self.truth, results, points))
        if not self.detected:
            truth = collected["keypoints"]
            name, correct = pck_of_set(collected["xy"], truth[..., :2], truth[..., 2] > 0, collected["box"], points)
            table[name] = correct.mean
        if points.sigma_source != SIGMAS_OF_COCO:
            table["sigmas"] = points.sigma_source
        return table | {"boxes": self.box_source, "crops": len(collected["xy"])}

    def details(self) -> dict[str, Any]:
        """As ``Score.details``: the mean share of each keypoint in the OKS, its PCK, and how many are marked.

        Nothing for detected boxes, which say of nobody whom they show.
        """
        if self.detected:
            return {}
        collected = self.collected()
        truth, marked = collected["keypoints"][..., :2], collected["keypoints"][..., 2] > 0
        name, correct = pck_of_set(collected["xy"], truth, marked, collected["box"], self.keypoint_set)
        counts = marked.sum(axis=0)
        with np.errstate(invalid="ignore"):
            oks = (self._similarity(collected) * marked).sum(axis=0) / counts
        rows = zip(self.keypoint_set.names, oks.tolist(), correct.by_keypoint.tolist(), counts.tolist(), strict=True)
        return {
            "by_keypoint": [
                {"keypoint": point, "OKS": share, name: right, "marked": count} for point, share, right, count in rows
            ]
        }

    def intervals(self) -> dict[str, Interval]:
        """As ``Score.intervals``, see ``keypoint_intervals``; drawn are the pictures."""
        return keypoint_intervals(self.truth, self.entries(), self.keypoint_set)

    def samples(self) -> list[dict[str, Any]]:
        """As ``Score.samples``: the picture, the person's score, the OKS, and how many keypoints are marked.

        Where boxes were detected, the OKS is that with whoever of the picture is nearest, and no keypoint counts as
        marked. NaN where nothing is marked.
        """
        collected = self.collected()
        marked = (collected["keypoints"][..., 2] > 0).sum(axis=1)
        rows = zip(
            collected["image_id"].astype(np.int64).tolist(),
            rescore(collected["scores"], collected["score"]).tolist(),
            (self._nearest(collected) if self.detected else self._own(collected)).tolist(),
            marked.tolist(),
            strict=True,
        )
        return [{"image_id": image, "score": score, "oks": oks, "marked": count} for image, score, oks, count in rows]

    def _similarity(self, collected: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        """(N, K), of each crop with the person that it was cut for."""
        truth = collected["keypoints"][..., :2]
        return keypoint_similarity(collected["xy"], truth, collected["area"], self.keypoint_set.sigmas)

    def _own(self, collected: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        marked = collected["keypoints"][..., 2] > 0
        with np.errstate(invalid="ignore"):
            own: NDArray[np.float64] = (self._similarity(collected) * marked).sum(axis=1) / marked.sum(axis=1)
        return own

    def _nearest(self, collected: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        nearest = np.full(len(collected["xy"]), np.nan)
        for picture in np.unique(collected["image_id"]):
            rows = np.flatnonzero(collected["image_id"] == picture)
            people = (self.truth.image_id == picture) & self.truth.counted
            if people.any():
                keypoints = self.truth.keypoints[people]
                pairs = oks_matrix(
                    collected["xy"][rows],
                    keypoints[..., :2],
                    keypoints[..., 2],
                    self.truth.area[people],
                    self.keypoint_set.sigmas,
                )
                nearest[rows] = pairs.max(axis=1)
        return nearest
