"""What an exported file computes beside what PyTorch computes: the numbers of the network, and what is read from them.

The decoded result is what counts: a difference that leaves every keypoint in place does no harm, and a small one that
moves an angle does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmsa.models.base import BaseNetwork
from cmsa.models.weights import describe
from cmsa.runtime.preprocess import preprocess_of
from cmsa.tasks import task_of
from cmsa.tasks.task import Output

RAW_TOLERANCE = 1e-3
"""Of the network's numbers, as a share of the largest of them: float32 in another order of operations."""

_COUNTED = 4
"""Tolerances of int8 up to which a single value counts."""


class ExportError(RuntimeError):
    """An exported file does not compute what the model computes; it was not written.

    Examples:
        >>> from cmsa.export import Difference
        >>> from cmsa.tasks import Output
        >>> Difference(None, 3.0, 2.0, 2.0, Output("keypoints", "(B, K, 2)", "px"), 8).check()
        Traceback (most recent call last):
            ...
        cmsa.export.compare.ExportError: ...
    """


@dataclass(frozen=True)
class Difference:
    """How far two ways to compute the same are apart.

    Attributes:
        raw: between the network's outputs at most, as a share of the largest of them; None where the file only has
            values.
        decoded: between the values at most: pixels of the input, degrees, or probability.
        mean: the same, in the mean.
        usual: in the mean, each counted up to four tolerances of int8: of two peaks that are almost equally high,
            rounding may raise the other one, and that keypoint is then anywhere.
        what: the decoded output that is compared, with its tolerances.
        count: images compared.
        remark: what the task has to add.

    Examples:
        >>> from cmsa.tasks import Output
        >>> print(Difference(1e-6, 2e-4, 1e-4, 1e-4, Output("keypoints", "(B, K, 2)", "px"), 8))
        output 1.0e-06 of its largest number; keypoints at most 2.0e-04 px, mean 1.0e-04 px, 8 images
    """

    raw: float | None
    decoded: float
    mean: float
    usual: float
    what: Output
    count: int
    remark: str = ""

    def __str__(self) -> str:
        raw = "" if self.raw is None else f"output {self.raw:.1e} of its largest number; "
        unit = f" {self.what.unit}" if self.what.unit else ""
        text = f"{self.what.name} at most {self.decoded:.1e}{unit}, mean {self.mean:.1e}{unit}, {self.count} images"
        return f"{raw}{text}; {self.remark}" if self.remark else raw + text

    def check(self, tolerance: float = 1.0, int8: bool = False) -> None:
        """Refuse what is too far off.

        Args:
            tolerance: factor on ``RAW_TOLERANCE`` and on those of ``what``.
            int8: whether the file computes in int8, whose rounding is no error.

        Raises:
            ExportError: a difference is past its tolerance.
        """
        # Written so that NaN is refused.
        if not int8 and self.raw is not None and not self.raw <= RAW_TOLERANCE * tolerance:
            raise ExportError(f"the output differs by more than {RAW_TOLERANCE * tolerance:.1e}: {self}")
        limit = (self.what.int8_tolerance if int8 else self.what.tolerance) * tolerance
        if not (self.usual if int8 else self.decoded) <= limit:
            raise ExportError(f"{self.what.name} differ by more than {limit:g} {self.what.unit}: {self}")


def random_pixels(model: BaseNetwork, count: int = 8) -> Tensor:
    """Crops (count, H, W, 3) uint8 RGB: smooth blobs of colour with some noise, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    height, width = model.input_size
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    noisy = smooth + 0.1 * torch.randn(smooth.shape, generator=generator)
    return (noisy.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def network_input(model: BaseNetwork, pixels: Tensor) -> Tensor:
    """Crops (B, H, W, 3) uint8 as the network takes them, (B, 3, H, W) float32."""
    images: Tensor = preprocess_of(describe(model))(pixels)
    return images


@torch.no_grad()
def compare(model: BaseNetwork, pixels: Tensor, outputs: Sequence[Tensor], decoded: bool) -> Difference:
    """Outputs of an exported file beside those of the model, unfused, in eval mode.

    Args:
        model: what was exported.
        pixels: (B, H, W, 3) uint8, the crops that gave the outputs.
        outputs: of the file.
        decoded: whether these are values already, as the task decodes them.
    """
    was_training = model.training
    expected = model.eval()(network_input(model, pixels))
    model.train(was_training)
    task = task_of(model)
    raw = None if decoded else _largest(outputs[0] - expected) / max(_largest(expected), 1e-12)
    found = tuple(outputs) if decoded else task.decode(outputs[0])
    distances, remark = task.distances(found, task.decode(expected), expected)
    what = task.decoded[0]
    usual = _mean(distances.abs().clamp(max=_COUNTED * what.int8_tolerance))
    return Difference(raw, _largest(distances), _mean(distances), usual, what, len(pixels), remark)


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _mean(values: Tensor) -> float:
    return float(values.abs().mean()) if values.numel() else 0.0
