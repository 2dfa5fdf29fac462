"""Networks of other projects, as ONNX or OpenVINO files: crops in, what a task decodes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor
from torch.nn import functional

from cmsa.data.transforms.preprocess import Preprocess
from cmsa.metrics.score import Decoded
from cmsa.runtime.sessions import open_exported, shape_text

Anchor = Literal["corner", "center"]
"""Where heatmap pixel i lies in an input of stride s: at s·i (HRNet's and PaddleDetection's), or s·(i + 1/2) - 1/2."""

FOREIGN_SUFFIXES = {".onnx", ".xml"}
"""Of files of other projects; any other name stands for weights of ours."""


class Foreign(Protocol):
    """A network of another project.

    Attributes:
        input_size: (H, W).
    """

    input_size: tuple[int, int]

    def __call__(self, crops: Tensor) -> Decoded:
        """What it says of crops (B, H, W, 3) uint8 RGB on the CPU."""


class ForeignNetwork:
    """A file that takes normalised images (B, 3, H, W) of a fixed size, ImageNet's mean and spread.

    Args:
        path: ``.onnx`` or ``.xml``.
        read: its output (B, ...) -> what the task decodes.
        numbers: N, where the output must be (B, N); None for any other.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it takes something else, or says that it puts out something else; the shape is named.
    """

    def __init__(self, path: Path, read: Callable[[Tensor], Decoded], numbers: int | None = None) -> None:
        self.network, self.read, self.preprocess = open_exported(path), read, Preprocess()
        shape = self.network.input_shape
        if len(shape) != 4 or shape[1] != 3 or shape[2] is None or shape[3] is None:
            raise ValueError(f"{path}: the input must be (B, 3, H, W) of a fixed size, it is {shape_text(shape)}")
        self.path, self.numbers = path, numbers
        if self.network.output_shape:
            self._check(self.network.output_shape)
        self.input_size = (shape[2], shape[3])

    def __call__(self, crops: Tensor) -> Decoded:
        """As ``Foreign``; crops of another size are resampled bilinearly.

        Raises:
            ValueError: it puts out something else than the task reads; the shape is named.
        """
        images = self.preprocess(crops)
        if tuple(images.shape[2:]) != self.input_size:
            images = functional.interpolate(images, self.input_size, mode="bilinear", antialias=True)
        output = self.network(images)
        self._check(tuple(output.shape))
        return self.read(output)

    def _check(self, shape: tuple[int | None, ...]) -> None:
        if self.numbers is not None and (len(shape) != 2 or shape[1] not in (None, self.numbers)):
            raise ValueError(f"{self.path}: the output must be (B, {self.numbers}), it is {shape_text(shape)}")
