"""How sure a score is: its interval under another draw of the same data (percentile bootstrap, Efron 1979)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
"""The low and the high end."""

RESAMPLES = 200
CONFIDENCE = 0.95


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], Mapping[str, float]],
    count: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """The intervals in which scores lie at ``CONFIDENCE``.

    Args:
        statistic: the scores of N units by their places (N,), of which some repeat and some are missing.
        count: N. A unit is what was drawn independently, e.g. a picture and not one of its people.
        resamples: how often the units are drawn anew, with replacement.
        seed: of the draw.

    Raises:
        ValueError: there is no unit.
    """
    if count < 1:
        raise ValueError(f"an interval needs at least one unit to draw from, got {count}")
    generator = np.random.default_rng(seed)
    drawn = [statistic(generator.integers(count, size=count)) for _ in range(resamples)]
    tail = (1 - CONFIDENCE) / 2
    ends = {name: np.quantile([scores[name] for scores in drawn], [tail, 1 - tail]) for name in drawn[0]}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def mean_intervals(values: Mapping[str, NDArray[np.float64]]) -> dict[str, Interval]:
    """The intervals of means, by name; each over the same N samples, (N,)."""
    return bootstrap(
        lambda drawn: {name: float(numbers[drawn].mean()) for name, numbers in values.items()},
        len(next(iter(values.values()), ())),
    )
