"""What goes into an exported file: the deployed network, and before and after it what a user without Python needs.

Shapes: B images of (H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmsa.export.layout import deploy
from cmsa.models.base import BaseNetwork
from cmsa.models.weights import describe
from cmsa.runtime.preprocess import preprocess_of
from cmsa.tasks import Task, task_of


class Decode(nn.Module):
    """The network's output -> values, as the model's task decodes it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, output: Tensor) -> tuple[Tensor, ...]:
        """What ``task.decoded`` lists."""
        return self.task.decode(output)


class ExportedGraph(nn.Module):
    """The network for inference, with pre- and post-processing if wanted.

    Args:
        model: of ``create_model`` or ``load_weights``.
        normalise: take RGB uint8 (B, H, W, 3) instead of normalised float32 (B, 3, H, W).
        decode: put out values instead of the network's numbers.

    Attributes:
        task: that the model was made for.
        outputs: what the file puts out; its input is called ``images``.
    """

    def __init__(self, model: BaseNetwork, *, normalise: bool = False, decode: bool = False) -> None:
        super().__init__()
        self.size = model.input_size
        self.takes_pixels, self.decodes = normalise, decode
        self.preprocess = preprocess_of(describe(model)) if normalise else nn.Identity()
        self.network = deploy(model)
        self.task = task_of(model)
        self.decode = Decode(self.task) if decode else None
        self.outputs = self.task.decoded if decode else (self.task.output,)

    @property
    def output_names(self) -> tuple[str, ...]:
        """As the file has them."""
        return tuple(output.name for output in self.outputs)

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
