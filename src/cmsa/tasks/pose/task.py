"""Human pose: keypoints to heatmaps, the loss between them, heatmaps to keypoints, and the score."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from cmsa.structures import COCO, KeypointSet
from cmsa.tasks.pose.codecs.heatmaps import CODECS, Codec

Size = tuple[int, int]
PoseLoss = Literal["mse", "cross_entropy"]


class PoseTask:
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

    def encode(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
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

    def decode(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in image pixels and scores (B, K), of the output (B, K, h, w)."""
        with torch.autocast(output.device.type, enabled=False):
            return self.codec.decode(self.heatmaps(output))

    def predict(self, network: Callable[[Tensor], Tensor], images: Tensor, flip_test: bool = False) -> Tensor:
        """Output (B, K, h, w) for images (B, 3, H, W); the flip test averages with that for the mirrored images."""
        return self.average(network(images), network(images.flip(3)) if flip_test else None)

    def average(self, output: Tensor, mirrored: Tensor | None) -> Tensor:
        """The mean of the outputs for an image and its mirror image, brought back by the codec's flip rule."""
        if mirrored is None:
            return output
        return (output.float() + self.codec.flip_back(mirrored.float(), self.keypoint_set.flip_index)) / 2
