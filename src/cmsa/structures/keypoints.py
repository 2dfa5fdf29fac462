"""The keypoints of one person, and their forms elsewhere: COCO's entries, rows of a table, lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from cmsa.structures.keypoint_set import COCO, KeypointSet, told_by_names
from cmsa.structures.values import Box, FloatArray, box_text, checked_array

COUNTED_SCORE = 0.2
"""Keypoints that score more count for a person's score (HRNet's rescoring)."""
AREA_OF_BOX = 0.53
"""A person's area as a share of the box, where no outline is known (the mean over COCO's people)."""

_BY_NAMES = KeypointSet((), (), (), (), ())


@dataclass(frozen=True, eq=False, repr=False)
class Keypoints:
    """The keypoints of one person.

    Attributes:
        xy: (K, 2) pixels of the full picture.
        scores: (K,) height of each heatmap's peak, about 0 to 1.
        names: K keypoint names.
        box: the box the crop was cut from.
        keypoint_set: what the K keypoints mean; by default what their names tell.

    Raises:
        ValueError: a shape does not fit the number of names, a number is not finite, or the set has other names.

    Examples:
        >>> from cmsa import Box
        >>> person = Keypoints([[12.0, 8.0], [40.0, 9.0]], [0.9, 0.1], ("left_eye", "right_eye"), Box(0, 0, 60, 80))
        >>> person
        Keypoints(score 0.90, 1 of 2 found, box x=0 y=0 width=60 height=80)
        >>> person.to_coco(image_id=7)["keypoints"]
        [12.0, 8.0, 0.9, 40.0, 9.0, 0.1]
        >>> person.row()["left_eye_x"]
        12.0
    """

    xy: FloatArray
    scores: FloatArray
    names: tuple[str, ...]
    box: Box
    keypoint_set: KeypointSet = _BY_NAMES

    def __post_init__(self) -> None:
        names = tuple(self.names)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "xy", checked_array("Keypoints.xy", self.xy, (len(names), 2)))
        object.__setattr__(self, "scores", checked_array("Keypoints.scores", self.scores, (len(names),)))
        if self.keypoint_set is _BY_NAMES:
            object.__setattr__(self, "keypoint_set", told_by_names(names))
        elif self.keypoint_set.names != names:
            raise ValueError(f"Keypoints.names are {names}, but those of its keypoint_set {self.keypoint_set.names}")

    @property
    def score(self) -> float:
        """Mean score of the keypoints above 0.2 (HRNet's convention), 0 if there is none."""
        kept = self.scores[self.scores > COUNTED_SCORE]
        return float(kept.mean()) if kept.size else 0.0

    def to_coco(self, image_id: int | None = None, box_score: float = 1.0) -> dict[str, Any]:
        """An entry of a COCO result file, ready for JSON.

        Args:
            image_id: of the picture; None leaves it out.
            box_score: of the box, by which the person's score is multiplied (HRNet's rescoring).

        Returns:
            ``category_id`` of the set, ``keypoints`` (3K numbers: x, y, score), ``score``, ``bbox`` (xywh).
        """
        triples = np.concatenate([self.xy, self.scores[:, None]], axis=1)
        return ({} if image_id is None else {"image_id": image_id}) | {
            "category_id": self.keypoint_set.category_id,
            "keypoints": triples.ravel().tolist(),
            "score": self.score * box_score,
            "bbox": list(map(float, self.box.xywh)),
        }

    def to_coco_annotation(self, image_id: int, annotation_id: int, threshold: float = COUNTED_SCORE) -> dict[str, Any]:
        """An entry of a COCO annotation file, ready for JSON: the prediction as a label to correct or to learn from.

        Args:
            image_id: of the picture.
            annotation_id: of the person, no two alike in a file.
            threshold: keypoints that score more are marked (v=2); the others are not labelled (0, 0, 0).

        Returns:
            ``keypoints`` (3K numbers: x, y, v), ``num_keypoints``, ``bbox``, ``area`` (0.53 of the box's, for no
            outline is known), ``iscrowd`` and the three ids.
        """
        marked = self.scores > threshold
        triples = np.concatenate([self.xy, np.full((len(self.names), 1), 2.0)], axis=1) * marked[:, None]
        return {
            "id": annotation_id,
            "image_id": image_id,
            "category_id": self.keypoint_set.category_id,
            "keypoints": triples.ravel().tolist(),
            "num_keypoints": int(marked.sum()),
            "bbox": list(map(float, self.box.xywh)),
            "area": AREA_OF_BOX * self.box.width * self.box.height,
            "iscrowd": 0,
        }

    @classmethod
    def from_coco(cls, entry: Mapping[str, Any], keypoint_set: KeypointSet = COCO) -> Self:
        """The keypoints of an entry of a result or annotation file.

        Args:
            entry: with ``keypoints``, 3K numbers, and ``bbox``. A result has a ``score``, and each keypoint's third
                number is its own; in an annotation that is v, which becomes a score of 1 where it is above 0.
            keypoint_set: what the K keypoints mean.

        Raises:
            ValueError: an entry is missing, or there are not 3K numbers.
        """
        for name in ("keypoints", "bbox"):
            if name not in entry:
                raise ValueError(f"a COCO entry of keypoints needs {name!r}, this one has {', '.join(entry)}")
        numbers = np.asarray(entry["keypoints"], dtype=np.float64)
        if numbers.shape != (3 * len(keypoint_set),):
            raise ValueError(
                f"keypoints must be {3 * len(keypoint_set)} numbers, x, y and score of {len(keypoint_set)} keypoints, "
                f"got {numbers.shape}"
            )
        triples = numbers.reshape(-1, 3)
        scores = triples[:, 2] if "score" in entry else (triples[:, 2] > 0).astype(np.float64)
        return cls(triples[:, :2], scores, keypoint_set.names, Box(*entry["bbox"]), keypoint_set)

    def row(self) -> dict[str, float]:
        """Box, score and all keypoints by their names: ``pandas.DataFrame([person.row() for person in people])``.

        Returns:
            ``x``, ``y``, ``width``, ``height``, ``score``; ``NAME_x``, ``NAME_y``, ``NAME_score`` of each keypoint.
        """
        row = self.box.row() | {"score": self.score}
        for name, (x, y), score in zip(self.names, self.xy.tolist(), self.scores.tolist(), strict=True):
            row |= {f"{name}_x": x, f"{name}_y": y, f"{name}_score": score}
        return row

    def __repr__(self) -> str:
        counted = int((self.scores > COUNTED_SCORE).sum())
        return f"Keypoints(score {self.score:.2f}, {counted} of {len(self.names)} found, {box_text(self.box)})"

    def __str__(self) -> str:
        """The line of ``repr``, and below it a line for each keypoint: name, x, y, score."""
        width = max(map(len, self.names), default=0)
        lines = [
            f"  {name:{width}} {x:8.1f} {y:8.1f} {score:6.2f}"
            for name, (x, y), score in zip(self.names, self.xy, self.scores, strict=True)
        ]
        return "\n".join([repr(self), *lines])
