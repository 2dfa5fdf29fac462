"""Errors of head pose over a data set, as running sums: the same whatever the batch size."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.geometry.rotations import euler_to_matrix, geodesic_distance, wrap_degrees
from cmsa.metrics.bootstrap import Interval, mean_intervals
from cmsa.metrics.score import Batch, Decoded, Score

YAW_BUCKETS = (0.0, 30.0, 60.0, math.inf)
"""Bounds in degrees of |true yaw|; the usual thirds of the 300W-LP range."""

_NAMES = ("yaw", "pitch", "roll", "geodesic")
_BUCKETS = tuple(
    f"yaw_{low:.0f}_{high:.0f}" if math.isfinite(high) else f"yaw_{low:.0f}_up"
    for low, high in itertools.pairwise(YAW_BUCKETS)
)
SCORES = ("mae", *_NAMES, "constant", "count", *(f"{what}_{name}" for name in _BUCKETS for what in ("mae", "count")))
"""All that ``HeadPoseScore`` may come to; a bucket without a head has none."""


def angle_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """How far heads (B, 3) are turned too far in yaw, pitch and roll, and the geodesic distance: (B, 4) degrees."""
    geodesic = geodesic_distance(euler_to_matrix(predicted), euler_to_matrix(target))
    return torch.cat((wrap_degrees(predicted - target), geodesic[:, None]), dim=1)


class HeadPoseErrors:
    """Mean absolute error per angle, their mean, and the geodesic error, overall and by |true yaw|.

    An error wraps at 360° and at nothing else: 170° against -170° is 20°, but -90° against 90° stays 180°.

    Attributes:
        totals: (buckets, 5) float64 sums of the absolute errors of yaw, pitch and roll, of the geodesic distance, and
            the count. Sums of several processes may be added.
    """

    def __init__(self) -> None:
        self.totals = torch.zeros(len(YAW_BUCKETS) - 1, len(_NAMES) + 1, dtype=torch.float64)

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Add B heads; both (B, 3) = yaw, pitch, roll in degrees.

        Raises:
            ValueError: another shape.
        """
        if predicted.ndim != 2 or predicted.shape[1] != 3 or predicted.shape != target.shape:
            shapes = f"{tuple(predicted.shape)} and {tuple(target.shape)}"
            raise ValueError(f"predicted and target angles must both be (B, 3), got {shapes}")
        predicted, target = (angles.detach().cpu().double() for angles in (predicted, target))
        errors = angle_errors(predicted, target)
        errors = torch.cat((errors.abs(), torch.ones_like(errors[:, :1])), dim=1)
        bounds = torch.tensor(YAW_BUCKETS[1:-1], dtype=torch.float64)
        bucket = torch.bucketize(wrap_degrees(target[:, 0]).abs(), bounds, right=True)
        self.totals.index_add_(0, bucket, errors)

    def compute(self) -> dict[str, float]:
        """The errors in degrees.

        Returns:
            ``yaw``, ``pitch``, ``roll``, ``mae`` (their mean), ``geodesic`` and ``count``; then for each bucket of
            |true yaw| with a head in it ``mae_yaw_LOW_HIGH`` and ``count_yaw_LOW_HIGH``. NaN if nothing was added.
        """
        sums = self.totals.sum(dim=0)
        results = {name: (sums[index] / sums[-1]).item() for index, name in enumerate(_NAMES)}
        results = {"mae": (sums[:3].mean() / sums[-1]).item(), **results, "count": sums[-1].item()}
        for name, row in zip(_BUCKETS, self.totals, strict=True):
            if row[-1] > 0:
                results[f"mae_{name}"] = (row[:3].mean() / row[-1]).item()
                results[f"count_{name}"] = row[-1].item()
        return results

    def reset(self) -> None:
        """Forget everything."""
        self.totals.zero_()


class HeadPoseScore(Score):
    """Errors of predicted angles on an evaluation store.

    Args:
        store: what is evaluated; its ``meta`` says how faces were found and cut.
    """

    ranked_by: ClassVar[tuple[str, Literal["max", "min"]]] = ("mae", "min")

    def __init__(self, store: CropStore) -> None:
        self.store = store
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self.errors = HeadPoseErrors()
        self.truth: list[Tensor] = []
        self.predicted: list[Tensor] = []

    def update(self, batch: Batch, decoded: Decoded) -> None:
        """Take angles (B, 3) in degrees."""
        (angles,) = decoded
        self.errors.update(angles, batch["angles"])
        self.truth.append(batch["angles"].cpu())
        self.predicted.append(angles.detach().cpu())

    def compute(self) -> dict[str, Any]:
        """What ``HeadPoseErrors`` has, and how it came about.

        ``constant`` is the mean absolute error of the best answer that is the same for every head, the medians of
        this very set: what a network is worth is what it is better by. ``boxes`` and ``margin`` say how faces were
        cut.
        """
        truth = torch.cat(self.truth)
        constant = (truth - truth.median(dim=0).values).abs().mean().item()
        cut = {"boxes": self.store.meta.get("box_source", "unknown"), "margin": self.store.meta.get("margin", "none")}
        return dict(self.errors.compute()) | {"constant": constant} | cut

    def details(self) -> dict[str, Any]:
        """As ``Score.details``: of each angle in degrees the mean error with its sign (positive: turned too far) and
        the mean, the median and the 90th percentile of the absolute one."""
        errors = self._errors()
        bias, sizes = errors.mean(dim=0).tolist(), errors.abs()
        middle, most = (sizes.quantile(share, dim=0).tolist() for share in (0.5, 0.9))
        rows = zip(_NAMES, bias, sizes.mean(dim=0).tolist(), middle, most, strict=True)
        return {
            "by_angle": [
                {"angle": name, "bias": signed, "mean": mean, "median": median, "90 %": largest}
                for name, signed, mean, median, largest in rows
            ]
        }

    def intervals(self) -> dict[str, Interval]:
        """As ``Score.intervals``, of the mean absolute error and its parts; drawn are the heads."""
        errors = self._errors().abs()
        columns = dict(zip(_NAMES, errors.unbind(1), strict=True))
        return mean_intervals({name: row.numpy() for name, row in {"mae": errors[:, :3].mean(1), **columns}.items()})

    def samples(self) -> list[dict[str, Any]]:
        """As ``Score.samples``: the angles, the predicted ones, and the errors, all in degrees."""
        rows = zip(
            torch.cat(self.truth).tolist(), torch.cat(self.predicted).tolist(), self._errors().tolist(), strict=True
        )
        return [
            dict(zip(_NAMES, truth, strict=False))
            | {f"predicted_{name}": angle for name, angle in zip(_NAMES, found, strict=False)}
            | {"mae": sum(map(abs, errors[:3])) / 3, "geodesic": errors[3]}
            for truth, found, errors in rows
        ]

    def _errors(self) -> Tensor:
        return angle_errors(torch.cat(self.predicted).double(), torch.cat(self.truth).double())
