"""Human pose: keypoints are moved with their image and mirrored, values and scores made; all between is the codec's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.data.transforms.affine import move_keypoints
from cmsa.geometry.affine import apply_affine, invert_affine
from cmsa.geometry.constants import constant
from cmsa.geometry.crops import BOX_PADDING
from cmsa.metrics.keypoints import SCORES, FoundKeypoints, PoseScore
from cmsa.metrics.score import Batch, Decoded
from cmsa.models.description import Description
from cmsa.structures import COCO, Box, FloatArray, Keypoints, KeypointSet
from cmsa.structures.keypoint_set import changed
from cmsa.structures.keypoints import COUNTED_SCORE
from cmsa.tasks.foreign import Anchor, Foreign
from cmsa.tasks.pose.codecs import codec_class, codec_of, codec_options, create_codec, with_head
from cmsa.tasks.pose.foreign import ForeignOptions, ForeignPose
from cmsa.tasks.task import Output, Targets, Task, numbers

Size = tuple[int, int]


class PoseTask(Task):
    """Encodes, scores and decodes keypoints by a codec.

    Args:
        input_size: (H, W) of the images.
        map_size: (h, w) of the head's maps, one for each keypoint.
        codec: a name of ``cmsa.tasks.pose.codecs.CODECS``.
        keypoint_set: names, mirror pairs and sigmas.
        options: further arguments of the codec's class, e.g. ``sigma`` and ``loss``.

    Raises:
        ValueError: there is no such codec, or it has no such option or loss.
    """

    name = "pose"
    monitored = ("AP", "max")
    scores = SCORES
    decoded = (
        Output("keypoints", "(B, keypoints, 2): x, y in input pixels, pixel centres at integers", "px", 0.05, 0.5),
        Output("scores", "(B, keypoints): height of the peak, about 0 to 1"),
    )
    padding = BOX_PADDING
    columns = ()
    result_name = "keypoints"
    entries = frozenset(("codec", "loss", "sigma", "keypoints", "label_smoothing"))
    options = frozenset(("smooth",))

    def __init__(
        self, input_size: Size, map_size: Size, codec: str = "udp", keypoint_set: KeypointSet = COCO, **options: Any
    ) -> None:
        self.codec = create_codec(codec, input_size, map_size, **options)
        self.keypoint_set = keypoint_set
        self.output = Output(self.codec.output_name, self.codec.output_layout)
        self.category = keypoint_set.category_id

    @classmethod
    def describe(cls, description: Description, settings: Mapping[str, Any], store: CropStore) -> Description:
        """As ``Task.describe``; the codec brings its head."""
        points = changed(store.keypoint_set(), settings["keypoints"])
        options = {"num_keypoints": len(points)} | with_head(settings["codec"], description.options)
        if options["num_keypoints"] != len(points):
            raise ValueError(f"{store.folder}: has {len(points)} keypoints, the recipe {options['num_keypoints']}")
        decoding = codec_options(settings)
        return replace(description, options=options, names=points.names, decoding=decoding, keypoints=points.to_json())

    @classmethod
    def from_description(cls, description: Description, map_size: tuple[int, int]) -> Self:
        """As ``Task.from_description``; heatmaps are as large as the first map.

        Raises:
            ValueError: the description means another number of keypoints than the network puts out, or a codec that
                does not read its head.
        """
        points = description.keypoint_set()
        description.check_names()
        options = {"codec": codec_of(description.options)} | description.decoding
        with_head(options["codec"], {"head": "heatmap"} | description.options)
        shared = codec_class(options["codec"]).head_options
        options |= {key: value for key, value in description.options.items() if key in shared}
        return cls(description.input_size, map_size, keypoint_set=points, **options)

    def body_points(self, batch: Batch) -> tuple[Tensor | None, Sequence[int]]:
        """As ``Task.body_points``."""
        return move_keypoints(batch["keypoints"], batch["matrix"]), self.keypoint_set.upper_body

    def encode(self, batch: Batch) -> Targets:
        """Targets of a batch.

        Args:
            batch: ``keypoints`` (B, K, 3) of x, y, visibility; ``matrices`` (B, 2, 3), which take them to the image;
                ``flipped`` (B,) bool, where that map mirrors; and, where labels are trusted by different degrees,
                ``weight`` (B, K), 1 for a full one.

        Returns:
            What the codec's ``encode`` returns, its ``weight`` (B, K) multiplied.
        """
        moved = self._moved(batch)
        targets = self.codec.encode(moved[..., :2], moved[..., 2])
        if "weight" in batch:
            targets["weight"] = targets["weight"] * self._mirrored(batch["weight"].float(), batch["flipped"])
        return targets

    def _moved(self, batch: Batch) -> Tensor:
        """Keypoints (B, K, 3) of an augmented batch, in pixels of the images."""
        moved = move_keypoints(batch["keypoints"].float(), batch["matrices"].float())
        return self._mirrored(moved, batch["flipped"])

    def _mirrored(self, labels: Tensor, flipped: Tensor) -> Tensor:
        """Labels (B, K, ...), those of left and right exchanged where ``flipped`` (B,)."""
        exchanged = labels.index_select(1, constant(self.keypoint_set.flip_index, labels, torch.long))
        return torch.where(flipped.bool().reshape(-1, *[1] * (labels.dim() - 1)), exchanged, labels)

    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """The codec's loss of the output (B, K, ...), in float32.

        Raises:
            ValueError: the output is not what the codec reads: the network has another head.
        """
        expected = self.codec.output_shape(len(self.keypoint_set))
        if tuple(output.shape[1:]) != expected:
            wanted = ", ".join(map(str, expected))
            raise ValueError(f"{self.codec} reads outputs of (B, {wanted}), the head gave {tuple(output.shape)}")
        with torch.autocast(output.device.type, enabled=False):
            return self.codec.loss(output.float(), targets)

    def decode(self, output: Tensor) -> Decoded:
        """Keypoints (B, K, 2) in image pixels and scores (B, K), of the output (B, K, ...)."""
        with torch.autocast(output.device.type, enabled=False):
            return self.codec.decode(output.float())

    def heatmaps(self, output: Tensor) -> Tensor | None:
        """As ``Task.heatmaps``: one for each keypoint, as the codec has them."""
        return self.codec.heatmaps(output)

    def average(self, output: Tensor, mirrored: Tensor) -> Decoded:
        """As ``Task.average``: the mean of the outputs, the mirrored one brought back by the codec's flip rule."""
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
        """As ``Task.open_foreign``, see ``ForeignPose``.

        Raises:
            ValueError: it puts out another number of keypoints, as its file tells, or else its first answer.
        """
        return _TensorsInAndOut(ForeignPose(path, ForeignOptions(anchor=anchor), keypoints=len(self.label_names)))

    def values(self, decoded: Decoded, matrices: Sequence[FloatArray], boxes: Sequence[Box]) -> list[Keypoints]:
        """As ``Task.values``."""
        points, scores = (numbers(part) for part in decoded)
        if not len(points):
            return []
        in_pictures = apply_affine(np.stack([invert_affine(matrix) for matrix in matrices]), points)
        return [
            Keypoints(xy, score, self.keypoint_set.names, box, self.keypoint_set)
            for xy, score, box in zip(in_pictures, scores, boxes, strict=True)
        ]

    def score(self, store: CropStore) -> PoseScore:
        """As ``Task.score``."""
        return PoseScore(self.keypoint_set, store)

    def truth(self, batch: Batch) -> Decoded:
        """As ``Task.truth``: the keypoints in the crop; those that are not marked score 0."""
        return _labelled(move_keypoints(batch["keypoints"].float(), batch["matrix"].float()))

    def augmented_truth(self, batch: Batch, targets: Targets) -> Decoded:
        """As ``Task.augmented_truth``: where the keypoints went, left and right exchanged in mirrored images."""
        return _labelled(self._moved(batch))

    def submission(self, store: CropStore) -> FoundKeypoints:
        """As ``Task.submission``: COCO's keypoint results, of boxes that were detected."""
        account = FoundKeypoints(self.keypoint_set, store)
        if not account.detected:
            raise ValueError(
                f"{store.folder}: its boxes are the annotated ones, and a submission is of detected ones: "
                "prepare it with --detections"
            )
        return account

    def constants(self) -> dict[str, Any]:
        """As ``Task.constants``."""
        return self.codec.constants() | {
            "flip_index": self.keypoint_set.flip_index,
            "names": self.keypoint_set.names,
            "skeleton": self.keypoint_set.skeleton,
            "sigmas": self.keypoint_set.sigmas,
            "category_id": self.category,
        }

    def distances(self, found: Decoded, expected: Decoded, output: Tensor) -> tuple[Tensor, str]:
        """As ``Task.distances``: of keypoints whose output has one highest place; where two are equally high within
        rounding, either may win."""
        clear = self.codec.decided(output)
        undecided = int((~clear).sum())
        remark = f"{undecided} keypoints without a clear peak left out" if undecided else ""
        return (found[0] - expected[0]).norm(dim=2)[clear], remark

    def record(self, value: Keypoints, box_score: float, top: int) -> dict[str, Any]:
        """As ``Task.record``: an entry of a COCO result file; the box's score counts (HRNet's rescoring)."""
        entry = value.to_coco(box_score=box_score)
        return {
            "category_id": entry["category_id"],
            "keypoints": [round(number, 4) for number in entry["keypoints"]],
            "score": round(entry["score"], 6),
        }

    def rows(self, record: Mapping[str, Any]) -> list[list[Any]]:
        """As ``Task.rows``."""
        return [[record["score"], *record["keypoints"]]]

    def row_headings(self) -> tuple[str, ...]:
        """As ``Task.row_headings``: the names of ``Keypoints.row``."""
        return "score", *(f"{name}_{part}" for name in self.label_names for part in ("x", "y", "score"))

    def headings(self) -> tuple[str, ...]:
        """As ``Task.headings``."""
        return "score", f"keypoints above {COUNTED_SCORE}"

    def cells(self, value: Keypoints, top: int) -> tuple[str, ...]:
        """As ``Task.cells``."""
        return f"{value.score:.2f}", f"{int((value.scores > COUNTED_SCORE).sum())} of {len(value.names)}"


def _labelled(points: Tensor) -> Decoded:
    """Labels (B, K, 3) as predictions; those that are not marked score 0."""
    return points[..., :2], (points[..., 2] > 0).float()


class _TensorsInAndOut:
    """Another project's network, which is one of arrays."""

    def __init__(self, network: ForeignPose) -> None:
        self.network, self.input_size = network, network.input_size

    def __call__(self, crops: Tensor) -> Decoded:
        """As ``Foreign``."""
        return tuple(torch.from_numpy(part).float() for part in self.network(crops.numpy()))
