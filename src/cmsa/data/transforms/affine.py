"""Batched geometry of training crops: one affine map per sample moves the image and its labels together.

Points are (x, y) in pixels with pixel centres at integers; sizes are (height, width); maps are those of
``cmsa.geometry.affine``. Every random number comes from an explicit ``torch.Generator``, whose device is where the work
is done. A step makes no tensor from numbers of the host, for a GPU would wait for each: they are arguments of
operations, or constants that are on the device already.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from cmsa.geometry.affine import apply_affine, invert_affine
from cmsa.geometry.constants import constant

STRONGEST_ZOOM = 4.0
"""A part of a body is not magnified more than this against the plain crop: the store holds no finer detail."""


@dataclass(frozen=True)
class AffineRange:
    """How far a crop may be moved. The defaults are HRNet's for human pose (``lib/dataset/JointsDataset.py``).

    Attributes:
        scale_std: the region's extent is multiplied by ``clip(N * scale_std + 1, *scale_limits)``, N normal.
        scale_limits: smallest and largest of these factors.
        rotation_std: degrees; the content turns by ``clip(N * rotation_std, ±rotation_limit)``.
        rotation_limit: degrees.
        rotation_probability: the share of samples that turn at all.
        flip_probability: the share of samples that are mirrored left to right.
        translation: largest shift, as a fraction of the crop's sides, uniform.
        whole_pixels: shift by whole pixels only (4 pixels of padding at 32x32: ``translation=4 / 32``).
        half_body_probability: the share, among samples with enough joints, that show half a body.
        half_body_joints: a sample needs more visible joints than this.
        half_body_padding: the half body's region is enlarged by this factor.
        upper_body_probability: how often the half is the upper one (HRNet's test is ``randn() < 0.5``).
    """

    scale_std: float = 0.35
    scale_limits: tuple[float, float] = (0.65, 1.35)
    rotation_std: float = 45.0
    rotation_limit: float = 90.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    translation: float = 0.0
    whole_pixels: bool = False
    half_body_probability: float = 0.3
    half_body_joints: int = 8
    half_body_padding: float = 1.5
    upper_body_probability: float = 0.69

    def __post_init__(self) -> None:
        low, high = self.scale_limits
        if not 0 < low <= 1 <= high:
            raise ValueError(f"AffineRange.scale_limits must satisfy 0 < low <= 1 <= high, got {self.scale_limits}")
        for name in ("rotation", "flip", "half_body", "upper_body"):
            probability = getattr(self, f"{name}_probability")
            if not 0 <= probability <= 1:
                raise ValueError(f"AffineRange.{name}_probability must lie in 0..1, got {probability}")

    @classmethod
    def still(cls) -> AffineRange:
        """No movement at all: the centre of the store crop."""
        return cls(scale_std=0, rotation_probability=0, flip_probability=0, half_body_probability=0)


@dataclass(frozen=True, eq=False)
class AffineSample:
    """What was drawn for a batch of B crops; the content is scaled, turned, shifted, then mirrored, in this order.

    Attributes:
        matrices: (B, 2, 3) float32, store crop to output.
        scale: (B,) factor on the region's extent; above 1 the content shrinks.
        rotation: (B,) degrees by which the content turns clockwise in the image, before it is mirrored.
        shift: (B, 2) output pixels (x, y) by which the content moves, before it is mirrored.
        flipped: (B,) bool, mirrored left to right.
        half_body: (B,) bool, the region is half a body's.
    """

    matrices: Tensor
    scale: Tensor
    rotation: Tensor
    shift: Tensor
    flipped: Tensor
    half_body: Tensor


def sample_affine(
    batch: int,
    store_size: tuple[int, int],
    size: tuple[int, int],
    density: float,
    limits: AffineRange,
    generator: torch.Generator,
    keypoints: Tensor | None = None,
    upper_body: Sequence[int] = (),
    regions: Tensor | None = None,
) -> AffineSample:
    """Draw one affine map per sample.

    Args:
        batch: B, the number of samples.
        store_size: (H, W) of the stored crops, in whose centre the plain crop lies.
        size: (H, W) of the output.
        density: stored pixels per output pixel where nothing is scaled.
        limits: how far a crop may move.
        generator: source of every random number; its device is the result's.
        keypoints: (B, K, 3) of x, y in the store crop and visibility (above 0: visible); without them, whole
            bodies only.
        upper_body: indices of the keypoints of the upper half; the others are the lower half.
        regions: (B, 3) of a region's centre x, y in the store crop and its store pixels per output pixel, in place of
            the plain crop.
    """
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device, dtype=torch.float32)

    def normal() -> Tensor:
        return torch.randn(batch, generator=generator, device=device, dtype=torch.float32)

    scale = (normal() * limits.scale_std + 1).clamp(*limits.scale_limits)
    rotation = (normal() * limits.rotation_std).clamp(-limits.rotation_limit, limits.rotation_limit)
    rotation = rotation * (uniform(batch) < limits.rotation_probability)
    flipped = uniform(batch) < limits.flip_probability
    reaches = [limits.translation * side for side in (size[1], size[0])]
    draws = uniform(batch, 2).unbind(1)
    shifts = [
        (draw * (2 * round(reach) + 1)).floor() - round(reach) if limits.whole_pixels else (draw * 2 - 1) * reach
        for draw, reach in zip(draws, reaches, strict=True)
    ]
    shift = torch.stack(shifts, dim=1)

    def constant(number: float) -> Tensor:
        return torch.full((batch,), number, device=device, dtype=torch.float32)

    center = torch.stack([constant((store_size[1] - 1) / 2), constant((store_size[0] - 1) / 2)], dim=1)
    step = constant(density)
    if regions is not None:
        center, step = regions[:, :2], regions[:, 2].clamp(min=density / STRONGEST_ZOOM)
    half_body = torch.zeros(batch, dtype=torch.bool, device=device)
    if keypoints is not None and limits.half_body_probability > 0:
        upper = uniform(batch) < limits.upper_body_probability
        enough, half_center, half_step = _half_body_region(keypoints, upper_body, upper, size, limits)
        half_body = enough & (uniform(batch) < limits.half_body_probability)
        center = torch.where(half_body[:, None], half_center, center)
        step = torch.where(half_body, half_step.clamp(min=density / STRONGEST_ZOOM), step)

    matrices = _region_matrices(center, step * scale, rotation, shift, flipped, size)
    return AffineSample(matrices, scale, rotation, shift, flipped, half_body)


def _half_body_region(
    keypoints: Tensor, upper_body: Sequence[int], upper: Tensor, size: tuple[int, int], limits: AffineRange
) -> tuple[Tensor, Tensor, Tensor]:
    """Whether there are joints enough (B,), the half body's centre (B, 2), and store pixels per output pixel (B,)."""
    xy, visible = keypoints[..., :2].float(), keypoints[..., 2] > 0
    joint = torch.arange(keypoints.shape[1], device=keypoints.device)
    in_upper = (joint[:, None] == constant(upper_body, joint)).any(dim=1)
    upper_count = (visible & in_upper).sum(dim=1)
    lower_count = (visible & ~in_upper).sum(dim=1)
    take_upper = (upper & (upper_count > 2)) | (lower_count <= 2)
    chosen = visible & (take_upper[:, None] == in_upper)
    count = chosen.sum(dim=1)
    enough = (visible.sum(dim=1) > limits.half_body_joints) & (count >= 2)

    center = (xy * chosen[..., None]).sum(dim=1) / count.clamp(min=1)[:, None]
    lowest = xy.masked_fill(~chosen[..., None], math.inf).amin(dim=1)
    highest = xy.masked_fill(~chosen[..., None], -math.inf).amax(dim=1)
    extent = (highest - lowest) * limits.half_body_padding
    # The side that fills the output's aspect decides; the other is extended.
    step = torch.maximum(extent[:, 0] / size[1], extent[:, 1] / size[0])
    return enough, center, step


def _region_matrices(
    center: Tensor, step: Tensor, rotation: Tensor, shift: Tensor, flipped: Tensor, size: tuple[int, int]
) -> Tensor:
    """(B, 2, 3) maps that bring ``center`` (B, 2) to the output's centre, ``step`` (B,) store pixels to one pixel."""
    angle = torch.deg2rad(rotation)
    cosine, sine = torch.cos(angle) / step, torch.sin(angle) / step
    linear = torch.stack([torch.stack([cosine, -sine], dim=-1), torch.stack([sine, cosine], dim=-1)], dim=-2)
    offset = shift - (linear * center[:, None, :]).sum(dim=-1)
    matrix = torch.cat([linear, offset[..., None]], dim=-1)
    matrix[:, 0] *= 1 - 2 * flipped[:, None].float()
    matrix[:, 0, 2] += (size[1] - 1) / 2
    matrix[:, 1, 2] += (size[0] - 1) / 2
    return matrix


def move_keypoints(keypoints: Tensor, matrices: Tensor) -> Tensor:
    """Map the points of keypoints (B, K, 3) of x, y and visibility with maps (B, 2, 3)."""
    return torch.cat([apply_affine(matrices, keypoints[..., :2]), keypoints[..., 2:]], dim=-1)


def transform_keypoints(keypoints: Tensor, sample: AffineSample, flip_index: Sequence[int]) -> Tensor:
    """Move keypoints (B, K, 3) of x, y in the store crop and visibility to the output.

    Args:
        keypoints: (B, K, 3); the visibility is carried along.
        sample: the maps; in mirrored samples left and right keypoints change places.
        flip_index: for each keypoint the index of its mirror image.
    """
    moved = move_keypoints(keypoints, sample.matrices)
    swapped = moved.index_select(1, constant(flip_index, moved, torch.long))
    return torch.where(sample.flipped[:, None, None], swapped, moved)


def to_images(crops: Tensor) -> Tensor:
    """RGB crops (B, H, W, 3) uint8 as images (B, 3, H, W) float32 in 0..1."""
    return crops.permute(0, 3, 1, 2).contiguous().float().div_(255)


def warp(crops: Tensor, matrices: Tensor, size: tuple[int, int], supersample: int = 2) -> Tensor:
    """Resample stored crops; what lies outside is black.

    Args:
        crops: (B, H_s, W_s, 3) uint8 RGB.
        matrices: (B, 2, 3) store crop to output.
        size: (H, W) of the output.
        supersample: each output pixel is the mean of this many bilinear samples squared, against aliasing.

    Returns:
        (B, 3, H, W) float32 in 0..1.
    """
    height, width = size
    store_height, store_width = crops.shape[1:3]
    backward = invert_affine(matrices.float())
    columns = (torch.arange(width * supersample, device=crops.device, dtype=torch.float32) + 0.5) / supersample - 0.5
    rows = (torch.arange(height * supersample, device=crops.device, dtype=torch.float32) + 0.5) / supersample - 0.5
    # x and y apart: with the two in the last axis each of these would be a loop over pairs of numbers.
    grid = torch.empty(len(crops), len(rows), len(columns), 2, device=crops.device, dtype=torch.float32)
    for axis, side in enumerate((store_width, store_height)):
        # The grid counts from -1 to 1, from edge to edge.
        linear_x, linear_y, offset = (backward[:, axis, index, None, None] * (2 / side) for index in range(3))
        offset = offset + (1 / side - 1)
        torch.add(linear_x * columns[None, None, :], linear_y * rows[None, :, None] + offset, out=grid[..., axis])
    images = functional.grid_sample(to_images(crops), grid, "bilinear", "zeros", align_corners=False)
    return mean_of_cells(images, supersample)


def mean_of_cells(images: Tensor, side: int) -> Tensor:
    """Means of cells of side x side pixels: (B, C, side·H, side·W) -> (B, C, H, W).

    What ``avg_pool2d`` computes, at a seventh of its time on a CPU.
    """
    if side == 1:
        return images
    rows = reduce(torch.add, (images[:, :, place::side] for place in range(side)))
    return reduce(torch.add, (rows[..., place::side] for place in range(side))) / side**2
