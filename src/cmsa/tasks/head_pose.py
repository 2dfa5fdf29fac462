"""Head pose: what the network should say, how far off it is, and what its numbers mean.

Angles are (B, 3) = yaw, pitch, roll in degrees, see ``cmsa.geometry.rotations``. Loss and decoding run in float32
whatever the network ran in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor
from torch.nn import functional

from cmsa.data.store import CropStore
from cmsa.geometry.rotations import (
    LARGEST_ANGLE,
    euler_to_matrix,
    flip_angles,
    flip_rotation,
    geodesic_distance,
    matrix_to_euler,
    mean_rotation,
    rotation_6d_to_matrix,
    transform_angles,
    wrap_degrees,
)
from cmsa.metrics.head_pose import SCORES, HeadPoseScore
from cmsa.metrics.score import Batch, Decoded
from cmsa.models.description import Description
from cmsa.models.heads.head_pose import BIN_COUNT, STAGE_BINS
from cmsa.structures import Box, FloatArray, HeadPose
from cmsa.tasks.task import Output, Targets, Task, numbers

HeadKind = Literal["ssr", "bins", "rotation_6d"]

BIN_WIDTH = 3.0

_LEAST_WIDTH = 1e-3
"""1 + Δ is kept above this: tanh reaches -1 in float32, and the angle would be infinite."""


class HeadPoseTask(Task):
    """Encodes, scores and decodes head pose for one kind of head.

    Args:
        kind: ``ssr``, soft stage-wise regression with the mean absolute error (FSA-Net; the paper's choice);
            ``bins``, 66 bins of 3° with cross-entropy + alpha · mean squared error (Hopenet);
            ``rotation_6d``, 6D representation with the geodesic distance, for angles about ±90°, where Euler angles
            jump.
        alpha: weight of the squared error, in square degrees, of ``bins``.

    Raises:
        ValueError: there is no such kind.
    """

    name = "head_pose"
    monitored = ("mae", "min")
    scores = SCORES
    output = Output("angle_numbers", "(B, ...): what decoding.head names")
    decoded = (Output("angles", "(B, 3): yaw, pitch, roll in degrees", "degrees", 0.05, 1.0),)
    columns = ("yaw", "pitch", "roll")
    result_name = "head_pose"
    entries = frozenset(("alpha",))
    options = frozenset(("cube",))

    def __init__(self, kind: HeadKind = "ssr", alpha: float = 1.0) -> None:
        if kind not in get_args(HeadKind):
            raise ValueError(f"head pose head {kind!r}: must be one of {', '.join(get_args(HeadKind))}")
        self.kind = kind
        self.alpha = alpha

    @classmethod
    def describe(cls, description: Description, settings: Mapping[str, Any], store: CropStore) -> Description:
        """As ``Task.describe``; the store says how far crops reach beyond the face."""
        decoding = {"alpha": settings["alpha"]} if description.options.get("head") == "bins" else {}
        crop = description.crop | {"margin": store.meta.get("margin", "none")}
        return replace(description, names=cls.columns, decoding=decoding, crop=crop)

    @classmethod
    def from_description(cls, description: Description, map_size: tuple[int, int]) -> Self:
        """As ``Task.from_description``."""
        return cls(description.options.get("head", "ssr"), description.decoding.get("alpha", 1.0))

    def encode(self, batch: Batch) -> Targets:
        """Targets of a batch.

        Args:
            batch: ``angles`` (B, 3) of the stored crops; if these were warped, ``matrices`` (B, 2, 3), store crop to
                image, which turn and mirror the head.

        Returns:
            ``angles`` (B, 3) float32, and for ``bins`` also ``bins`` (B, 3) int64. A head turned beyond ±99° falls
            into the outermost bin.
        """
        angles = batch["angles"].float()
        if "matrices" in batch:
            angles = transform_angles(angles, batch["matrices"])
        targets = {"angles": angles}
        if self.kind == "bins":
            index = torch.floor((angles + LARGEST_ANGLE) / BIN_WIDTH)
            targets["bins"] = index.clamp(0, BIN_COUNT - 1).long()
        return targets

    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Mean loss over the batch: degrees (``ssr``), nats + alpha · square degrees (``bins``), radians (6D)."""
        with torch.autocast(output.device.type, enabled=False):
            output, angles = output.float(), targets["angles"]
            if self.kind == "rotation_6d":
                distance = geodesic_distance(rotation_6d_to_matrix(output), euler_to_matrix(angles))
                return torch.deg2rad(distance).mean()
            if self.kind == "ssr":
                return functional.l1_loss(stagewise_angles(output), angles)
            cross_entropy = functional.cross_entropy(output.flatten(0, 1), targets["bins"].flatten())
            return cross_entropy + self.alpha * functional.mse_loss(bin_angles(output), angles)

    def decode(self, output: Tensor) -> Decoded:
        """Angles (B, 3) float32 of what the head put out."""
        with torch.autocast(output.device.type, enabled=False):
            output = output.float()
            if self.kind == "ssr":
                return (stagewise_angles(output),)
            angles = bin_angles(output) if self.kind == "bins" else matrix_to_euler(rotation_6d_to_matrix(output))
            return (angles,)

    def average(self, output: Tensor, mirrored: Tensor) -> Decoded:
        """As ``Task.average``, the shorter way round: 179° and -179° have ±180° in their middle.

        ``rotation_6d`` averages rotations: its angles are read off these, and jump where yaw is ±90°.
        """
        with torch.autocast(output.device.type, enabled=False):
            if self.kind == "rotation_6d":
                first, second = rotation_6d_to_matrix(output.float()), rotation_6d_to_matrix(mirrored.float())
                return (matrix_to_euler(mean_rotation(first, flip_rotation(second))),)
            (one,), (other,) = self.decode(output), self.decode(mirrored)
            return (wrap_degrees(one + wrap_degrees(flip_angles(other) - one) / 2),)

    def taught(self, decoded: Decoded, scale: tuple[float, float], threshold: float) -> Batch:
        """As ``Task.taught``: the angles, of which all are sure."""
        return {"angles": decoded[0]}

    @property
    def foreign_numbers(self) -> int:
        """As ``Task.foreign_numbers``: the angles."""
        return 3

    def read_foreign(self, output: Tensor) -> Decoded:
        """As ``Task.read_foreign``: angles (B, 3) in degrees, yaw, pitch and roll."""
        return (output.float(),)

    def values(self, decoded: Decoded, matrices: Sequence[FloatArray], boxes: Sequence[Box]) -> list[HeadPose]:
        """As ``Task.values``."""
        rows = numbers(decoded[0]).tolist()
        return [HeadPose(yaw, pitch, roll, box) for (yaw, pitch, roll), box in zip(rows, boxes, strict=True)]

    def score(self, store: CropStore) -> HeadPoseScore:
        """As ``Task.score``."""
        return HeadPoseScore(store)

    def truth(self, batch: Batch) -> Decoded:
        """As ``Task.truth``: the angles."""
        return (batch["angles"].float(),)

    def augmented_truth(self, batch: Batch, targets: Targets) -> Decoded:
        """As ``Task.augmented_truth``: the turned and mirrored angles."""
        return (targets["angles"],)

    def constants(self) -> dict[str, Any]:
        """As ``Task.constants``."""
        return {"head": self.kind, "bins": BIN_COUNT if self.kind == "bins" else STAGE_BINS, "bin_width": BIN_WIDTH}

    def distances(self, found: Decoded, expected: Decoded, output: Tensor) -> tuple[Tensor, str]:
        """As ``Task.distances``, the shorter way round."""
        return wrap_degrees(found[0] - expected[0]).abs(), ""

    def cells(self, value: HeadPose, top: int) -> tuple[str, ...]:
        """As ``Task.cells``."""
        return f"{value.yaw:+.1f}°", f"{value.pitch:+.1f}°", f"{value.roll:+.1f}°"


def stagewise_angles(output: Tensor) -> Tensor:
    """Soft stage-wise regression (FSA-Net, Yang et al., CVPR 2019; λ_d = 1).

    y = V · Σ_k [Σ_i p_i^(k) (i - ⌊s/2⌋ + η_k)] / Π_{j≤k} s (1 + Δ_j), with p a softmax, η and Δ a tanh. (FSA-Net's
    own code lets p be any numbers above 0.)

    Args:
        output: (B, 3, stages, s + 2) of ``SoftStagewiseHead``.

    Returns:
        (B, 3) degrees.
    """
    bins = output.shape[-1] - 2
    probability = output[..., :bins].softmax(dim=-1)
    shift, stretch = torch.tanh(output[..., bins:]).unbind(-1)
    index = torch.arange(bins, dtype=output.dtype, device=output.device) - bins // 2
    position = (probability * index).sum(-1) + shift
    width = (bins * (1 + stretch).clamp(min=_LEAST_WIDTH)).cumprod(dim=-1)
    return LARGEST_ANGLE * (position / width).sum(-1)


def bin_angles(output: Tensor) -> Tensor:
    """Expected angle Σ p_i · 3 i - 99 in degrees (Hopenet): (B, 3, bins) logits -> (B, 3)."""
    index = torch.arange(output.shape[-1], dtype=output.dtype, device=output.device)
    return (output.softmax(dim=-1) * index).sum(-1) * BIN_WIDTH - LARGEST_ANGLE
