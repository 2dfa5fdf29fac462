"""The One-Euro filter (Casiez, Roussel, Vogel, CHI 2012): steady at rest, quick in motion, at any times.

For a sample x at dt seconds after the one before, with the smoothing factor alpha(f) = 1 / (1 + 1 / (2 pi f dt)):

    dx  = (x - x') / dt                         x' the last filtered value
    dx^ = alpha(f_d) dx + (1 - alpha(f_d)) dx^'
    f   = f_min + beta |dx^|
    x^  = alpha(f) x + (1 - alpha(f)) x^'
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from cmsa.structures import FloatArray, Keypoints


@dataclass
class OneEuroFilter:
    """Filters an array of numbers, each by itself.

    Attributes:
        minimum_cutoff: hertz; lower is steadier at rest, and lags more.
        beta: how much the cut-off rises with speed; higher lags less in motion.
        derivative_cutoff: hertz, for the speed.

    Raises:
        ValueError: a cut-off is not positive, or beta is negative.

    Examples:
        >>> import numpy as np
        >>> smooth = OneEuroFilter(minimum_cutoff=1.0, beta=0.0)
        >>> [smooth(np.array([value]), time).round(3).tolist() for time, value in enumerate((0.0, 1.0, 1.0))]
        [[0.0], [0.863], [0.981]]
    """

    minimum_cutoff: float = 1.0
    beta: float = 0.0
    derivative_cutoff: float = 1.0
    _time: float = 0.0
    _value: FloatArray | None = None
    _speed: FloatArray | None = None

    def __post_init__(self) -> None:
        if not (self.minimum_cutoff > 0 and self.derivative_cutoff > 0 and self.beta >= 0):
            raise ValueError(
                "cut-offs must be positive and beta at least 0, got "
                f"{self.minimum_cutoff}, {self.derivative_cutoff} and {self.beta}"
            )

    def __call__(self, value: FloatArray, time: float) -> FloatArray:
        """The filtered value.

        Args:
            value: an array, of one shape throughout.
            time: of the value in seconds; the steps may differ.

        Raises:
            ValueError: the time is not after that of the value before.
        """
        value = np.asarray(value, dtype=np.float64)
        if self._value is None or self._speed is None:
            self._time, self._value, self._speed = time, value.copy(), np.zeros_like(value)
            return value.copy()
        step = time - self._time
        if not step > 0:
            raise ValueError(f"times must rise, got {time} after {self._time}")
        share = _smoothing(self.derivative_cutoff, step)
        self._speed = share * (value - self._value) / step + (1 - share) * self._speed
        shares = _smoothing(self.minimum_cutoff + self.beta * np.abs(self._speed), step)
        self._value = shares * value + (1 - shares) * self._value
        self._time = time
        return self._value.copy()


@dataclass
class KeypointSmoother:
    """A One-Euro filter for each person, by their ids; speeds are in box sides a second, so size does not matter.

    Attributes:
        minimum_cutoff: as for ``OneEuroFilter``.
        beta: hertz for each longer box side a second.

    Examples:
        >>> from cmsa import Box, Keypoints
        >>> smooth = KeypointSmoother()
        >>> def seen(x: float) -> Keypoints:
        ...     return Keypoints([[x, 20.0]], [0.9], ("nose",), Box(0, 0, 40, 80))
        >>> [smooth(seen(x), 1, time).xy[0].round(1).tolist() for time, x in ((0.0, 10.0), (0.04, 11.0))]
        [[10.0, 20.0], [10.3, 20.0]]
    """

    minimum_cutoff: float = 1.5
    beta: float = 3.0
    _filters: dict[int, OneEuroFilter] = field(default_factory=dict)
    _scales: dict[int, float] = field(default_factory=dict)

    def __call__(self, person: Keypoints, identity: int, time: float) -> Keypoints:
        """The person with smoothed keypoints; scores and box stay.

        Raises:
            ValueError: the time is not after that of the person's frame before.
        """
        if identity not in self._filters:
            self._filters[identity] = OneEuroFilter(self.minimum_cutoff, self.beta)
            # Of the first box, for a unit that changed would look like motion.
            self._scales[identity] = max(person.box.width, person.box.height)
        scale = self._scales[identity]
        xy = scale * self._filters[identity](person.xy / scale, time)
        return replace(person, xy=xy)

    def keep(self, identities: Collection[int]) -> None:
        """Forget everyone else."""
        for identity in [known for known in self._filters if known not in identities]:
            del self._filters[identity], self._scales[identity]


def _smoothing(cutoff: float | FloatArray, step: float) -> FloatArray:
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * step)))
