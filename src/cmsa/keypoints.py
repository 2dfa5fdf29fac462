"""Sets of keypoints: their names, their mirror images, how precisely people mark them, and how they connect."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeypointSet:
    """What a data set means by its K keypoints. Every index is from 0.

    Attributes:
        names: K names, in the order of the annotation.
        flip_pairs: (left, right) indices that change places when the picture is mirrored.
        sigmas: K spreads of the annotators' marks in units of the square root of the person's area (OKS; COCO).
        skeleton: pairs of indices to join with a line.
        upper_body: indices of the upper half; the others are the lower half (half-body augmentation, HRNet).

    Raises:
        ValueError: a name repeats, an index has no keypoint, a keypoint is in two flip pairs, or the number of
            sigmas is not K.
    """

    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    skeleton: tuple[tuple[int, int], ...]
    upper_body: tuple[int, ...]

    def __post_init__(self) -> None:
        count = len(self.names)
        if len(set(self.names)) != count:
            raise ValueError(f"KeypointSet.names must differ from each other, got {self.names}")
        if len(self.sigmas) != count:
            raise ValueError(f"KeypointSet.sigmas must hold {count} numbers, one for each name, got {len(self.sigmas)}")
        paired = [index for pair in self.flip_pairs for index in pair]
        if len(set(paired)) != len(paired):
            raise ValueError(f"KeypointSet.flip_pairs names a keypoint twice: {self.flip_pairs}")
        for field, indices in (
            ("flip_pairs", paired),
            ("skeleton", [index for pair in self.skeleton for index in pair]),
            ("upper_body", self.upper_body),
        ):
            outside = [index for index in indices if not 0 <= index < count]
            if outside:
                raise ValueError(f"KeypointSet.{field} points at {outside}, but there are {count} keypoints")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def flip_index(self) -> tuple[int, ...]:
        """K indices: ``points[flip_index]`` of a mirrored picture are in the order of ``names`` again."""
        order = list(range(len(self.names)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)

    @property
    def lower_body(self) -> tuple[int, ...]:
        """Indices that are not in ``upper_body``."""
        return tuple(index for index in range(len(self.names)) if index not in self.upper_body)


# Names, skeleton and sigmas: COCO 2017's person_keypoints annotation and pycocotools' Params; halves: HRNet.
COCO = KeypointSet(
    names=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035),
        *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
    skeleton=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12)),
        *((5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10)),
        *((1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
    ),
    upper_body=tuple(range(11)),
)
"""The 17 keypoints of a COCO person."""
