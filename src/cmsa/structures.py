"""Small frozen values at the boundary of the library: what goes in and what comes out.

Coordinates are (x, y) in pixels of the full picture, pixel centres at integers. Angles are degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation, by which images are normalised: RGB, in 0..1."""


@dataclass(frozen=True)
class Box:
    """A COCO box: ``x, y`` of the top left corner, ``width`` and ``height``, in pixels.

    Raises:
        ValueError: a number is not finite, or the box has no area.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        numbers = (self.x, self.y, self.width, self.height)
        if not all(np.isfinite(number) for number in numbers):
            raise ValueError(f"box {numbers}: every number must be finite")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"box {numbers}: width and height must be positive")

    @property
    def center(self) -> tuple[float, float]:
        """Centre (x, y) where pixel centres are integers: ``x + (width - 1) / 2``."""
        return self.x + (self.width - 1) / 2, self.y + (self.height - 1) / 2

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """The four numbers in COCO's order."""
        return self.x, self.y, self.width, self.height

    def clip(self, height: int, width: int) -> Box:
        """The part of the box inside a picture of ``height`` x ``width`` pixels.

        Raises:
            ValueError: the box lies wholly outside.
        """
        left, top = max(0.0, self.x), max(0.0, self.y)
        right, bottom = min(float(width), self.x + self.width), min(float(height), self.y + self.height)
        if right <= left or bottom <= top:
            raise ValueError(f"box {self.xywh} lies outside the picture of {height}x{width} (HxW) pixels")
        return Box(left, top, right - left, bottom - top)


def _array(name: str, value: object, shape: tuple[int | None, ...]) -> FloatArray:
    array = np.array(value, dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("N" if side is None else str(side) for side in shape) + ")"
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Keypoints:
    """The keypoints of one person.

    Attributes:
        xy: (K, 2) pixels of the full picture.
        scores: (K,) height of each heatmap's peak, about 0 to 1.
        names: K keypoint names.
        box: the box the crop was cut from.
    """

    xy: FloatArray
    scores: FloatArray
    names: tuple[str, ...]
    box: Box

    def __post_init__(self) -> None:
        count = len(self.names)
        object.__setattr__(self, "xy", _array("Keypoints.xy", self.xy, (count, 2)))
        object.__setattr__(self, "scores", _array("Keypoints.scores", self.scores, (count,)))

    @property
    def score(self) -> float:
        """Mean score of the keypoints above 0.2 (HRNet's convention), 0 if there is none."""
        kept = self.scores[self.scores > 0.2]
        return float(kept.mean()) if kept.size else 0.0


@dataclass(frozen=True)
class HeadPose:
    """Rotation of a head, in degrees, 300W-LP convention.

    Attributes:
        yaw: positive with the nose towards the left of the image.
        pitch: positive with the nose up.
        roll: positive when the head turns clockwise in the image.
        box: the box of the face.
    """

    yaw: float
    pitch: float
    roll: float
    box: Box

    def __post_init__(self) -> None:
        for name in ("yaw", "pitch", "roll"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"HeadPose.{name} must be finite, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Class probabilities of one crop.

    Attributes:
        probabilities: (C,) from 0 to 1, summing to 1.
        names: C class names.
        box: the part of the picture that was classified.
    """

    probabilities: FloatArray
    names: tuple[str, ...]
    box: Box

    def __post_init__(self) -> None:
        array = _array("ClassScores.probabilities", self.probabilities, (len(self.names),))
        if (array < 0).any() or abs(array.sum() - 1) > 1e-3:
            raise ValueError(f"ClassScores.probabilities must be at least 0 and sum to 1, got a sum of {array.sum():g}")
        object.__setattr__(self, "probabilities", array)

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The ``count`` most likely classes as (name, probability), best first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.names[index], float(self.probabilities[index])) for index in order]


Value = Keypoints | HeadPose | ClassScores
Predictions = list[Keypoints] | list[HeadPose] | list[ClassScores]


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
