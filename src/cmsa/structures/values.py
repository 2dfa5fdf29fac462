"""Small frozen values at the boundary of the library: what goes in and what comes out.

Coordinates are (x, y) in pixels of the full picture, pixel centres at integers. Angles are degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_NAMED = 5
"""Classes that a line of text names."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation, by which images are normalised: RGB, in 0..1."""


@dataclass(frozen=True)
class Box:
    """A COCO box: ``x, y`` of the top left corner, ``width`` and ``height``, in pixels.

    Raises:
        ValueError: a number is not finite, or the box has no area.

    Examples:
        >>> Box(10, 20, 30, 40).center
        (24.5, 39.5)
        >>> Box(-5, 0, 30, 40).clip(height=100, width=20)
        Box(x=0.0, y=0.0, width=20.0, height=40.0)
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        numbers = (self.x, self.y, self.width, self.height)
        if not all(map(math.isfinite, numbers)):
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

    def row(self) -> dict[str, float]:
        """The four numbers by their names, as in the CSV files of ``cmsa predict``."""
        return {"x": self.x, "y": self.y, "width": self.width, "height": self.height}

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


def checked_array(name: str, value: object, shape: tuple[int | None, ...]) -> FloatArray:
    """A read-only float64 copy of an array.

    Raises:
        ValueError: it has another shape (None stands for any length), or a number is not finite; ``name`` is named.
    """
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


@dataclass(frozen=True)
class HeadPose:
    """Rotation of a head, in degrees, 300W-LP convention.

    Attributes:
        yaw: positive with the nose towards the left of the image.
        pitch: positive with the nose up.
        roll: positive when the head turns clockwise in the image.
        box: the box of the face.

    Examples:
        >>> from cmsa import Box
        >>> HeadPose(12.5, -3.0, 0.4, Box(10, 20, 30, 30))
        HeadPose(yaw +12.5°, pitch -3.0°, roll +0.4°, box x=10 y=20 width=30 height=30)
    """

    yaw: float
    pitch: float
    roll: float
    box: Box

    def __post_init__(self) -> None:
        for name in ("yaw", "pitch", "roll"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"HeadPose.{name} must be finite, got {getattr(self, name)}")

    def row(self) -> dict[str, float]:
        """Box and angles by their names: ``pandas.DataFrame([head.row() for head in heads])``."""
        return self.box.row() | {"yaw": self.yaw, "pitch": self.pitch, "roll": self.roll}

    def __repr__(self) -> str:
        angles = f"yaw {self.yaw:+.1f}°, pitch {self.pitch:+.1f}°, roll {self.roll:+.1f}°"
        return f"HeadPose({angles}, {box_text(self.box)})"


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Class probabilities of one crop.

    Attributes:
        probabilities: (C,) from 0 to 1, summing to 1.
        names: C class names.
        box: the part of the picture that was classified.

    Examples:
        >>> from cmsa import Box
        >>> scores = ClassScores([0.7, 0.1, 0.2], ("cat", "dog", "eel"), Box(0, 0, 32, 32))
        >>> scores.top(2)
        [('cat', 0.7), ('eel', 0.2)]
    """

    probabilities: FloatArray
    names: tuple[str, ...]
    box: Box

    def __post_init__(self) -> None:
        array = checked_array("ClassScores.probabilities", self.probabilities, (len(self.names),))
        if (array < 0).any() or abs(array.sum() - 1) > 1e-3:
            raise ValueError(f"ClassScores.probabilities must be at least 0 and sum to 1, got a sum of {array.sum():g}")
        object.__setattr__(self, "probabilities", array)

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The ``count`` most likely classes as (name, probability), best first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.names[index], float(self.probabilities[index])) for index in order]

    def row(self) -> dict[str, Any]:
        """Box and the most likely class: ``pandas.DataFrame([scores.row() for scores in found])``."""
        name, share = self.top(1)[0]
        return self.box.row() | {"class": name, "probability": share}

    def __repr__(self) -> str:
        classes = ", ".join(f"{name} {share:.1%}" for name, share in self.top(_NAMED))
        more = len(self.names) - _NAMED
        return f"ClassScores({classes}{f', {more} less likely' if more > 0 else ''}, {box_text(self.box)})"


def box_text(box: Box) -> str:
    """A box in a line of text."""
    return f"box x={box.x:.4g} y={box.y:.4g} width={box.width:.4g} height={box.height:.4g}"


class Value(Protocol):
    """What a task predicts for a box: keypoints, a head pose, class scores, or what another task has."""

    @property
    def box(self) -> Box:
        """The part of the picture that it belongs to."""
