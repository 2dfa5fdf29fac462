"""What goes into an exported file: the deployed network, and before and after it what a user without Python needs.

Shapes: B images of (H, W) with K keypoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmsa.export.layout import deploy
from cmsa.models.network import CMSA
from cmsa.runtime.feeding import describe, heatmap_size
from cmsa.runtime.preprocess import preprocess_of
from cmsa.tasks.described import head_pose_task, pose_task

RAW_OUTPUT = {"pose": "heatmaps", "head_pose": "angle_numbers", "classification": "logits"}
DECODED_OUTPUTS = {
    "pose": ("keypoints", "scores"),
    "head_pose": ("angles",),
    "classification": ("probabilities",),
}


class Decode(nn.Module):
    """The network's output -> values, as the model's task decodes it."""

    def __init__(self, model: CMSA) -> None:
        super().__init__()
        description = describe(model)
        self.kind = description.task
        if self.kind == "pose":
            self.pose = pose_task(description, heatmap_size(model))
        elif self.kind == "head_pose":
            self.head_pose = head_pose_task(description)

    def forward(self, output: Tensor) -> tuple[Tensor, ...]:
        """Keypoints (B, K, 2) in input pixels and scores (B, K); angles (B, 3) in degrees; or class probabilities."""
        if self.kind == "pose":
            return self.pose.decode(output)
        if self.kind == "head_pose":
            return (self.head_pose.decode(output),)
        return (output.softmax(dim=1),)


class ExportedGraph(nn.Module):
    """The network for inference, with pre- and post-processing if wanted.

    Args:
        model: of ``create_model`` or ``load_weights``.
        normalise: take RGB uint8 (B, H, W, 3) instead of normalised float32 (B, 3, H, W).
        decode: put out values instead of the network's numbers.

    Attributes:
        output_names: as the file has them; its input is called ``images``.
    """

    def __init__(self, model: CMSA, *, normalise: bool = False, decode: bool = False) -> None:
        super().__init__()
        description = describe(model)
        self.size = model.input_size
        self.takes_pixels, self.decodes = normalise, decode
        self.preprocess = preprocess_of(description) if normalise else nn.Identity()
        self.network = deploy(model)
        self.decode = Decode(model) if decode else None
        self.output_names = DECODED_OUTPUTS[description.task] if decode else (RAW_OUTPUT[description.task],)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Images, as ``normalise`` says, -> the outputs that ``output_names`` lists."""
        output: Tensor = self.network(self.preprocess(images))
        return output if self.decode is None else self.decode(output)

    def example(self, count: int = 2) -> Tensor:
        """Images that the graph takes, all zero."""
        height, width = self.size
        if self.takes_pixels:
            return torch.zeros(count, height, width, 3, dtype=torch.uint8)
        return torch.zeros(count, 3, height, width)
