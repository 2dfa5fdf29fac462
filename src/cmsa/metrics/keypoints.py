"""The scores of keypoints on an evaluation store: average precision by object keypoint similarity, and PCK."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.geometry.affine import apply_affine, invert_affine
from cmsa.metrics.keypoint_truth import KeypointTruth
from cmsa.metrics.oks import coco_results, evaluate_keypoints, oks_nms, pck_of_set, rescore
from cmsa.metrics.score import Batch, Decoded, Score
from cmsa.structures import KeypointSet
from cmsa.structures.keypoint_set import SIGMAS_OF_COCO

NMS_THRESHOLD = 0.9
GROUND_TRUTH = "ground truth"


class PoseScore(Score):
    """Average precision by object keypoint similarity, and PCK.

    Args:
        keypoint_set: what the keypoints are.
        store: what is evaluated; it keeps whom the score counts, and its ``meta`` the boxes' source.

    Raises:
        StoreError: the store does not know whom to count, see ``KeypointTruth.of_store``.
    """

    def __init__(self, keypoint_set: KeypointSet, store: CropStore) -> None:
        self.keypoint_set = keypoint_set
        self.truth = KeypointTruth.of_store(store)
        self.box_source = str(store.meta.get("box_source", GROUND_TRUTH))
        self.reset()

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
        """AP, AP50, AP75, APM, APL, AR (OKS), PCK@0.2, people, where boxes and, if not COCO's, sigmas came from."""
        collected = {
            name: torch.cat([batch[name] for batch in self.batches]).double().numpy() for name in self.batches[0]
        }
        detected = self.box_source != GROUND_TRUTH
        results = self.results(collected, suppress=detected)
        points = self.keypoint_set
        table: dict[str, Any] = dict(evaluate_keypoints(self.truth, results, points))
        if not detected:
            truth = collected["keypoints"]
            name, value = pck_of_set(collected["xy"], truth[..., :2], truth[..., 2] > 0, collected["box"], points)
            table[name] = value
        if points.sigma_source != SIGMAS_OF_COCO:
            table["sigmas"] = points.sigma_source
        return table | {"boxes": self.box_source, "crops": len(collected["xy"])}

    def results(self, collected: dict[str, NDArray[Any]], *, suppress: bool) -> list[dict[str, Any]]:
        """COCO results; OKS-NMS at 0.9 where boxes were detected and may repeat a person."""
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
        return coco_results(image_ids[kept].tolist(), collected["xy"][kept], collected["scores"][kept], scores[kept])
