"""What an exported file computes beside what PyTorch computes: the numbers of the network, and what is read from them.

The decoded result is what counts: a difference that leaves every keypoint in place does no harm, and a small one that
moves an angle does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmsa.export.graph import Decode
from cmsa.models.network import CMSA
from cmsa.runtime.feeding import describe
from cmsa.runtime.preprocess import preprocess_of

RAW_TOLERANCE = 1e-3
"""Of the network's numbers, as a share of the largest of them: float32 in another order of operations."""
DECODED_TOLERANCES = {"keypoints": 0.05, "angles": 0.05, "probabilities": 1e-3}
"""At most, in float32."""
INT8_TOLERANCES = {"keypoints": 0.5, "angles": 1.0, "probabilities": 0.05}
"""In the mean, in int8: past this a file is broken. What int8 costs in accuracy only labelled data can tell."""
UNITS = {"keypoints": "px", "angles": "degrees", "probabilities": ""}


class ExportError(RuntimeError):
    """An exported file does not compute what the model computes; it was not written."""


@dataclass(frozen=True)
class Difference:
    """How far two ways to compute the same are apart.

    Attributes:
        raw: between the network's outputs at most, as a share of the largest of them; None where the file only has
            values.
        decoded: between the values at most: pixels of the input, degrees, or probability.
        mean: the same, in the mean.
        what: ``keypoints``, ``angles`` or ``probabilities``.
        other_labels: images whose most probable class differs.
        undecided: keypoints left out because two pixels of their heatmap are equally high within rounding.
        count: images compared.
    """

    raw: float | None
    decoded: float
    mean: float
    what: str
    count: int
    other_labels: int = 0
    undecided: int = 0

    def __str__(self) -> str:
        raw = "" if self.raw is None else f"output {self.raw:.1e} of its largest number; "
        unit = f" {UNITS[self.what]}" if UNITS[self.what] else ""
        text = f"{raw}{self.what} at most {self.decoded:.1e}{unit}, mean {self.mean:.1e}{unit}, {self.count} images"
        if self.what == "probabilities":
            text += f"; {self.other_labels} labels differ"
        if self.undecided:
            text += f"; {self.undecided} keypoints without a clear peak left out"
        return text

    def check(self, tolerance: float = 1.0, int8: bool = False) -> None:
        """Refuse what is too far off.

        Args:
            tolerance: factor on the tolerances of this module.
            int8: whether the file computes in int8, whose rounding is no error.

        Raises:
            ExportError: a difference is past its tolerance.
        """
        # Written so that NaN is refused.
        if not int8 and self.raw is not None and not self.raw <= RAW_TOLERANCE * tolerance:
            raise ExportError(f"the output differs by more than {RAW_TOLERANCE * tolerance:.1e}: {self}")
        limit = (INT8_TOLERANCES if int8 else DECODED_TOLERANCES)[self.what] * tolerance
        if not (self.mean if int8 else self.decoded) <= limit:
            raise ExportError(f"{self.what} differ by more than {limit:g} {UNITS[self.what]}: {self}")


def random_pixels(model: CMSA, count: int = 8) -> Tensor:
    """Crops (count, H, W, 3) uint8 RGB: smooth blobs of colour with some noise, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    height, width = model.input_size
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    noisy = smooth + 0.1 * torch.randn(smooth.shape, generator=generator)
    return (noisy.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def network_input(model: CMSA, pixels: Tensor) -> Tensor:
    """Crops (B, H, W, 3) uint8 as the network takes them, (B, 3, H, W) float32."""
    images: Tensor = preprocess_of(describe(model))(pixels)
    return images


@torch.no_grad()
def compare(model: CMSA, pixels: Tensor, outputs: Sequence[Tensor], decoded: bool) -> Difference:
    """Outputs of an exported file beside those of the model, unfused, in eval mode.

    Args:
        model: what was exported.
        pixels: (B, H, W, 3) uint8, the crops that gave the outputs.
        outputs: of the file.
        decoded: whether these are values already, as ``Decode`` gives them.
    """
    was_training = model.training
    expected = model.eval()(network_input(model, pixels))
    model.train(was_training)
    decode = Decode(model).eval()
    raw = None if decoded else _largest(outputs[0] - expected) / max(_largest(expected), 1e-12)
    values, found = decode(expected), tuple(outputs) if decoded else decode(outputs[0])
    count, task = len(pixels), describe(model).task
    if task == "pose":
        clear = _has_clear_peak(expected)
        moved = (found[0] - values[0]).norm(dim=2)[clear]
        return Difference(raw, _largest(moved), _mean(moved), "keypoints", count, undecided=int((~clear).sum()))
    off = found[0] - values[0]
    if task == "head_pose":
        return Difference(raw, _largest(off), _mean(off), "angles", count)
    labels = int((found[0].argmax(1) != values[0].argmax(1)).sum())
    return Difference(raw, _largest(off), _mean(off), "probabilities", count, other_labels=labels)


def _has_clear_peak(heatmaps: Tensor) -> Tensor:
    """(B, K) bool: the highest pixel is higher than every other by more than rounding."""
    highest = heatmaps.flatten(2).topk(2, dim=2).values
    return highest[..., 0] - highest[..., 1] > 1e-5 * heatmaps.abs().amax()


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _mean(values: Tensor) -> float:
    return float(values.abs().mean()) if values.numel() else 0.0
