"""Human pose: keypoints to heatmaps, the loss between them, heatmaps to keypoints, and the score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.data.transforms.augment import move_keypoints
from cmsa.geometry.crops import BOX_PADDING, FloatArray, apply_affine, invert_affine
from cmsa.metrics.keypoints import PoseScore
from cmsa.metrics.score import Batch, Decoded
from cmsa.models.description import Description
from cmsa.structures import COCO, Box, Keypoints, KeypointSet, Value
from cmsa.structures.keypoint_set import changed
from cmsa.tasks.foreign import Anchor, Foreign
from cmsa.tasks.pose.codecs.heatmaps import CODECS, Codec
from cmsa.tasks.pose.foreign import ForeignOptions, ForeignPose
from cmsa.tasks.task import Output, Targets, Task, numbers
from cmsa.visualization.annotate import Crop, annotate
from cmsa.visualization.panel import Picture

Size = tuple[int, int]
PoseLoss = Literal["mse", "cross_entropy"]

_COUNTED_SCORE = 0.2


class PoseTask(Task):
    """Encodes, scores and decodes keypoints as heatmaps.

    Args:
        input_size: (H, W) of the images.
        heatmap_size: (h, w) of the network's output.
        codec: ``quarter``, ``dark`` or ``udp``.
        keypoint_set: names, mirror pairs and sigmas.
        sigma: of the target gaussians in heatmap pixels; by default 1 at 32 rows, in proportion.
        loss: ``mse``, the paper's; or ``cross_entropy`` between the target and a softmax over the map's pixels, which
            learns faster from little data (beyond the paper). The network's output is then a map of logits.

    Raises:
        ValueError: there is no such codec or loss.
    """

    name = "pose"
    monitored = ("AP", "max")
    output = Output("heatmaps", "(B, keypoints, h, w)")
    decoded = (
        Output("keypoints", "(B, keypoints, 2): x, y in input pixels, pixel centres at integers", "px", 0.05, 0.5),
        Output("scores", "(B, keypoints): height of the peak"),
    )
    padding = BOX_PADDING
    columns = ()
    result_name = "keypoints"

    def __init__(
        self,
        input_size: Size,
        heatmap_size: Size,
        codec: str = "udp",
        keypoint_set: KeypointSet = COCO,
        sigma: float | None = None,
        loss: PoseLoss = "mse",
    ) -> None:
        if codec not in CODECS:
            raise ValueError(f"no codec {codec!r}; there are {', '.join(CODECS)}")
        if loss not in get_args(PoseLoss):
            raise ValueError(f"no pose loss {loss!r}; there are {', '.join(get_args(PoseLoss))}")
        self.kind = loss
        self.codec: Codec = CODECS[codec](input_size, heatmap_size, sigma)
        self.keypoint_set = keypoint_set
        self.category = keypoint_set.category_id

    @classmethod
    def describe(cls, description: Description, settings: Mapping[str, Any], store: CropStore) -> Description:
        """As ``Task.describe``."""
        points = changed(store.keypoint_set(), settings["keypoints"])
        options = {"num_keypoints": len(points)} | description.options
        if options["num_keypoints"] != len(points):
            raise ValueError(f"{store.folder}: has {len(points)} keypoints, the recipe {options['num_keypoints']}")
        decoding = {"codec": settings["codec"], "loss": settings["loss"]}
        return replace(description, options=options, names=points.names, decoding=decoding, keypoints=points.to_json())

    @classmethod
    def from_description(cls, description: Description, map_size: tuple[int, int]) -> Self:
        """As ``Task.from_description``; heatmaps are as large as the first map."""
        decoding = {"codec": "udp", "sigma": None, "loss": "mse"} | description.decoding
        size = description.input_size
        return cls(size, map_size, decoding["codec"], description.keypoint_set(), decoding["sigma"], decoding["loss"])

    def body_points(self, batch: Batch) -> tuple[Tensor | None, Sequence[int]]:
        """As ``Task.body_points``."""
        return move_keypoints(batch["keypoints"], batch["matrix"]), self.keypoint_set.upper_body

    def encode(self, batch: Batch) -> Targets:
        """Targets of a batch.

        Args:
            batch: ``keypoints`` (B, K, 3) of x, y, visibility; ``matrices`` (B, 2, 3), which take them to the image;
                ``flipped`` (B,) bool, where that map mirrors.

        Returns:
            ``heatmaps`` (B, K, h, w) and ``weight`` (B, K), float32.
        """
        keypoints, matrices = batch["keypoints"].float(), batch["matrices"].float()
        points = keypoints[..., :2] @ matrices[:, :, :2].transpose(1, 2) + matrices[:, None, :, 2]
        moved = torch.cat([points, keypoints[..., 2:]], dim=2)
        mirrored = moved[:, list(self.keypoint_set.flip_index)]
        moved = torch.where(batch["flipped"].bool()[:, None, None], mirrored, moved)
        heatmaps, weight = self.codec.encode(moved[..., :2], moved[..., 2])
        return {"heatmaps": heatmaps, "weight": weight}

    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """How far the output (B, K, h, w) is from the targets, joints weighted, in float32.

        ``mse``: half the mean squared error over pixels, joints and batch (HRNet ``lib/core/loss.py``).
        ``cross_entropy``: mean over the weighted joints, in nats.
        """
        with torch.autocast(output.device.type, enabled=False):
            heatmaps, weight = targets["heatmaps"], targets["weight"]
            if self.kind == "mse":
                error = (output.float() - heatmaps).square().mean(dim=(2, 3))
                return 0.5 * (error * weight).mean()
            target = heatmaps.flatten(2)
            target = target / target.sum(dim=2, keepdim=True).clamp(min=1e-6)
            error = -(target * output.float().flatten(2).log_softmax(dim=2)).sum(dim=2)
            return (error * weight).sum() / weight.sum().clamp(min=1)

    def heatmaps(self, output: Tensor) -> Tensor:
        """Heatmaps (B, K, h, w) float32 with peaks about 1, of the network's output."""
        if self.kind == "mse":
            return output.float()
        share = output.float().flatten(2).softmax(dim=2).reshape(output.shape)
        # A target's peak holds 1 / (2 pi sigma^2) of its mass.
        return share * (2 * math.pi * self.codec.sigma**2)

    def decode(self, output: Tensor) -> Decoded:
        """Keypoints (B, K, 2) in image pixels and scores (B, K), of the output (B, K, h, w)."""
        with torch.autocast(output.device.type, enabled=False):
            return self.codec.decode(self.heatmaps(output))

    def average(self, output: Tensor, mirrored: Tensor) -> Decoded:
        """As ``Task.average``: the mean of the maps, the mirrored ones brought back by the codec's flip rule."""
        back = self.codec.flip_back(mirrored.float(), self.keypoint_set.flip_index)
        return self.decode((output.float() + back) / 2)

    @property
    def label_names(self) -> tuple[str, ...]:
        """As ``Task.label_names``: the keypoints."""
        return self.keypoint_set.names

    def taught(self, decoded: Decoded, scale: tuple[float, float], threshold: float) -> Batch:
        """As ``Task.taught``: keypoints of at least ``threshold``, which weigh as much as their scores."""
        xy, scores = decoded
        factor = torch.stack([torch.full_like(scores, side) for side in scale], dim=-1)
        points = (xy + 0.5) * factor - 0.5
        return {
            "keypoints": torch.cat([points, (scores >= threshold).to(points)[..., None]], dim=2),
            "weight": scores.clamp(0, 1),
            "matrices": torch.eye(2, 3, device=xy.device).expand(len(xy), 2, 3),
            "flipped": torch.zeros(len(xy), dtype=torch.bool, device=xy.device),
        }

    def open_foreign(self, path: Path, anchor: Anchor = "corner") -> Foreign:
        """As ``Task.open_foreign``, see ``ForeignPose``."""
        return _TensorsInAndOut(ForeignPose(path, ForeignOptions(anchor=anchor)))

    def values(self, decoded: Decoded, matrices: Sequence[FloatArray], boxes: Sequence[Box]) -> list[Keypoints]:
        """As ``Task.values``."""
        points, scores = (numbers(part) for part in decoded)
        return [
            Keypoints(apply_affine(invert_affine(matrix), xy), score, self.keypoint_set.names, box)
            for xy, score, matrix, box in zip(points, scores, matrices, boxes, strict=True)
        ]

    def score(self, store: CropStore) -> PoseScore:
        """As ``Task.score``."""
        return PoseScore(self.keypoint_set, store)

    def constants(self) -> dict[str, Any]:
        """As ``Task.constants``."""
        return {
            "codec": type(self.codec).__name__,
            "sigma": self.codec.sigma,
            "heatmap_height": self.codec.heatmap_size[0],
            "heatmap_width": self.codec.heatmap_size[1],
            "loss": self.kind,
            "flip_shift": self.codec.flip_shift,
            "flip_index": self.keypoint_set.flip_index,
            "names": self.keypoint_set.names,
            "skeleton": self.keypoint_set.skeleton,
            "sigmas": self.keypoint_set.sigmas,
            "category_id": self.category,
        }

    def distances(self, found: Decoded, expected: Decoded, output: Tensor) -> tuple[Tensor, str]:
        """As ``Task.distances``: of keypoints whose map has one highest pixel; where two are equally high within
        rounding, either may win."""
        highest = output.flatten(2).topk(2, dim=2).values
        clear = highest[..., 0] - highest[..., 1] > 1e-5 * output.abs().amax()
        undecided = int((~clear).sum())
        remark = f"{undecided} keypoints without a clear peak left out" if undecided else ""
        return (found[0] - expected[0]).norm(dim=2)[clear], remark

    def draw(
        self, image: Picture, values: Sequence[Value], crops: Sequence[Crop], *, top: int = 5, cube: bool = False
    ) -> Picture:
        """As ``Task.draw``, with the skeleton of this set."""
        return annotate(image, values, crops, keypoint_set=self.keypoint_set)

    def record(self, value: Keypoints, box_score: float, top: int) -> dict[str, Any]:
        """As ``Task.record``: an entry of a COCO result file; the box's score counts (HRNet's rescoring)."""
        triples = np.concatenate([value.xy, value.scores[:, None]], axis=1)
        return {
            "category_id": self.category,
            "keypoints": [round(number, 4) for number in triples.ravel().tolist()],
            "score": round(value.score * box_score, 6),
        }

    def headings(self) -> tuple[str, ...]:
        """As ``Task.headings``."""
        return "score", f"keypoints above {_COUNTED_SCORE}"

    def cells(self, value: Keypoints, top: int) -> tuple[str, ...]:
        """As ``Task.cells``."""
        return f"{value.score:.2f}", f"{int((value.scores > _COUNTED_SCORE).sum())} of {len(value.names)}"


class _TensorsInAndOut:
    """Another project's network, which is one of arrays."""

    def __init__(self, network: ForeignPose) -> None:
        self.network, self.input_size = network, network.input_size

    def __call__(self, crops: Tensor) -> Decoded:
        """As ``Foreign``."""
        return tuple(torch.from_numpy(part).float() for part in self.network(crops.numpy()))
