"""The scores of keypoints on an evaluation store: average precision by object keypoint similarity, and PCK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.data.transforms.augment import invert, transform_points
from cmsa.metrics.oks import coco_results, evaluate_keypoints, oks_nms, pck, rescore
from cmsa.metrics.score import Batch, Decoded, Score
from cmsa.structures import KeypointSet

NMS_THRESHOLD = 0.9
GROUND_TRUTH = "ground truth"


class PoseScore(Score):
    """Average precision by object keypoint similarity, and PCK.

    Args:
        keypoint_set: what the keypoints are.
        store: what is evaluated; its ``meta`` names the annotations and the boxes' source.
        annotations: the annotations, where they have moved.
    """

    def __init__(self, keypoint_set: KeypointSet, store: CropStore, annotations: Path | None = None) -> None:
        self.keypoint_set = keypoint_set
        self.annotations = Path(annotations or store.meta["annotations"])
        self.box_source = str(store.meta.get("box_source", GROUND_TRUTH))
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self.batches: list[dict[str, Tensor]] = []

    def update(self, batch: Batch, decoded: Decoded) -> None:
        """Take keypoints (B, K, 2) in pixels of the crops, and their scores (B, K)."""
        xy, scores = decoded
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
        table: dict[str, Any] = dict(evaluate_keypoints(self.annotations, results, self.keypoint_set))
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
