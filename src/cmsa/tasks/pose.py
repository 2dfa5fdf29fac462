"""Human pose: keypoints to heatmaps, the loss between them, heatmaps to keypoints, and the score."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cmsa.keypoints import COCO, KeypointSet
from cmsa.tasks.codecs import CODECS, Codec

Size = tuple[int, int]


class PoseTask:
    """Encodes, scores and decodes keypoints as heatmaps.

    Args:
        input_size: (H, W) of the images.
        heatmap_size: (h, w) of the network's output.
        codec: ``quarter``, ``dark`` or ``udp``.
        keypoint_set: names, mirror pairs and sigmas.
        sigma: of the target gaussians in heatmap pixels; by default 1 at 32 rows, in proportion.

    Raises:
        ValueError: there is no such codec.
    """

    def __init__(
        self,
        input_size: Size,
        heatmap_size: Size,
        codec: str = "udp",
        keypoint_set: KeypointSet = COCO,
        sigma: float | None = None,
    ) -> None:
        if codec not in CODECS:
            raise ValueError(f"no codec {codec!r}; there are {', '.join(CODECS)}")
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
        """Half the mean squared error over pixels, joints and batch, joints weighted (HRNet ``lib/core/loss.py``)."""
        with torch.autocast(output.device.type, enabled=False):
            error = (output.float() - targets["heatmaps"]).square().mean(dim=(2, 3))
            return 0.5 * (error * targets["weight"]).mean()

    def decode(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in image pixels and scores (B, K), of heatmaps (B, K, h, w)."""
        with torch.autocast(output.device.type, enabled=False):
            return self.codec.decode(output.float())

    def predict(self, network: Callable[[Tensor], Tensor], images: Tensor, flip_test: bool = False) -> Tensor:
        """Heatmaps (B, K, h, w) of images (B, 3, H, W); the flip test averages with the mirrored images' maps."""
        output = network(images)
        if not flip_test:
            return output
        mirrored = self.codec.flip_back(network(images.flip(3)), self.keypoint_set.flip_index)
        return (output.float() + mirrored) / 2
