"""The people that an average precision counts, as a store keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cmsa.data.datasets.coco import load_truth
from cmsa.data.store import CropStore, StoreError
from cmsa.structures import KeypointSet


@dataclass(frozen=True, eq=False)
class KeypointTruth:
    """What there is to find, in P pictures: M annotations, of people and of crowds.

    Attributes:
        image_id: (M,) int64, the picture of each.
        keypoints: (M, K, 3) float64 x, y in pixels of the picture, and v, above 0 where the keypoint is marked.
        box: (M, 4) float64 xywh.
        area: (M,) float64 square pixels.
        crowd: (M,) bool. Crowds, and people without a marked keypoint, are neither found nor missed.
        pictures: (P,) int64, all pictures, also those without anybody.
        keypoint_set: what the K keypoints mean.
    """

    image_id: NDArray[np.int64]
    keypoints: NDArray[np.float64]
    box: NDArray[np.float64]
    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    pictures: NDArray[np.int64]
    keypoint_set: KeypointSet

    @classmethod
    def of_coco(cls, annotations: str | Path | Mapping[str, Any], category: str | None = None) -> Self:
        """That of an annotation file or its content; errors are those of ``cmsa.data.datasets.coco.load_truth``."""
        return cls(**load_truth(annotations, category=category))

    @classmethod
    def of_store(cls, store: CropStore) -> Self:
        """That of an evaluation store; of one of an earlier version, that of the annotation file it was made from.

        Raises:
            StoreError: it has none, and there is no such file.
        """
        if store.truth:
            return cls(**store.truth, keypoint_set=store.keypoint_set())
        if "keypoints" in store.meta:
            raise StoreError(f"{store.folder}: its annotation file had no annotations, so there is nothing to score by")
        annotations = Path(store.meta.get("annotations", ""))
        if not annotations.is_file():
            raise StoreError(
                f"{store.folder}: was made by an earlier version, which did not keep what the score counts, and its "
                f"annotation file {annotations} is not there; delete the store and prepare it again"
            )
        return cls.of_coco(annotations)

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(M,) who is to be found: no crowds, at least one marked keypoint."""
        marked = np.asarray((self.keypoints[..., 2] > 0).any(axis=1), dtype=bool)
        return marked & ~self.crowd

    def drawn(self, pictures: Sequence[int]) -> Self:
        """The annotations of some pictures, which may repeat; their ids are 0, 1, 2, ... in this order."""
        rows = [np.flatnonzero(self.image_id == picture) for picture in pictures]
        chosen = np.concatenate([*rows, np.empty(0, np.int64)]).astype(np.int64)
        numbers = np.repeat(np.arange(len(pictures)), [len(row) for row in rows])
        return type(self)(
            numbers,
            self.keypoints[chosen],
            self.box[chosen],
            self.area[chosen],
            self.crowd[chosen],
            np.arange(len(pictures)),
            self.keypoint_set,
        )
