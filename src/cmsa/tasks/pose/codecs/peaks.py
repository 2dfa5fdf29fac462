"""Where the highest place of a heatmap is, to a part of a pixel: by a quarter offset, or by DARK's Taylor step."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from cmsa.geometry.constants import constant

LONGEST_STEP = 2.0
"""A refinement moves a peak by at most so many heatmap pixels; a longer one comes from a map without a clear peak."""


def bell(distance: Tensor, sigma: float) -> Tensor:
    """A gaussian of height 1, at distances of any shape."""
    return torch.exp(-(distance**2) / (2 * sigma**2))


def _peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """(x, y) of the highest pixel, as floats (B, K, 2), and its height (B, K)."""
    scores, index = heatmaps.flatten(2).max(dim=-1)
    width = heatmaps.shape[-1]
    return torch.stack([index % width, index // width], dim=-1).float(), scores


def quarter_peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Peaks (B, K, 2) in heatmap pixels, moved a quarter towards the higher neighbour, and their heights.

    Peaks within one pixel of the border stay where they are.
    """
    peak, scores = _peaks(heatmaps)
    height, width = heatmaps.shape[-2:]
    inside = (peak > 1) & (peak < constant([width - 1, height - 1], peak))
    center = peak.clamp(min=1).minimum(constant([width - 2, height - 2], peak))
    patch = _patches(heatmaps, center)
    slope = torch.stack([patch[..., 1, 2] - patch[..., 1, 0], patch[..., 2, 1] - patch[..., 0, 1]], dim=-1)
    return peak + 0.25 * slope.sign() * inside.all(dim=-1, keepdim=True), scores


def taylor_peaks(heatmaps: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Peaks (B, K, 2) in heatmap pixels, by a Taylor step on the logarithm of the blurred map, and their heights.

    Args:
        heatmaps: (B, K, h, w) with gaussians as peaks.
        sigma: of these, in heatmap pixels.
    """
    peak, scores = _peaks(heatmaps)
    height, width = heatmaps.shape[-2:]
    # The gaussian's logarithm is one parabola everywhere, so a peak on the border is found from its neighbour.
    center = peak.clamp(min=1).minimum(constant([width - 2, height - 2], peak))
    radius = _kernel_radius(sigma)
    far = (center >= radius) & (center <= constant([width - 1, height - 1], center) - radius)
    # Near the border the blur would take in zeros from outside and pull the peak inwards.
    patch = torch.where(
        far.all(dim=-1)[..., None, None],
        _patches(_blur(heatmaps, sigma, radius), center),
        _patches(heatmaps, center),
    )
    step, is_top = _taylor_step(patch)
    moved = (center + step - peak).clamp(-LONGEST_STEP, LONGEST_STEP)
    return peak + moved * is_top, scores


def _patches(heatmaps: Tensor, center: Tensor) -> Tensor:
    """The 3x3 pixels (B, K, 3, 3) around centres (B, K, 2) that are not on the border."""
    width = heatmaps.shape[-1]
    index = (center[..., 1] * width + center[..., 0]).long()
    offsets = constant([row * width + column for row in (-1, 0, 1) for column in (-1, 0, 1)], index)
    return heatmaps.flatten(2).gather(2, index[..., None] + offsets).reshape(*index.shape, 3, 3)


def _kernel_radius(sigma: float) -> int:
    """OpenCV's rule between size and sigma, as in DARK: 11x11 for sigma 2, 17x17 for 3, 5x5 for 1."""
    return max(2, round((sigma - 0.8) / 0.3 + 1))


def _blur(heatmaps: Tensor, sigma: float, radius: int) -> Tensor:
    """Gaussian blur as wide as the targets, zero outside; one matrix product per axis serves every map."""
    # What is traced is no tensor to keep.
    smoother = _smoother if torch.compiler.is_compiling() else _kept_smoother
    down, across = (smoother(length, sigma, radius, heatmaps.device) for length in heatmaps.shape[-2:])
    with torch.autocast(heatmaps.device.type, enabled=False):
        return down @ heatmaps @ across


def _smoother(length: int, sigma: float, radius: int, device: torch.device) -> Tensor:
    """The matrix (length, length) that blurs along an axis."""
    place = torch.arange(length, device=device)
    distance = (place[:, None] - place).float()
    band = bell(distance, sigma) * (distance.abs() <= radius)
    return band / bell(torch.arange(-radius, radius + 1, device=device).float(), sigma).sum()


@lru_cache(maxsize=64)
def _kept_smoother(length: int, sigma: float, radius: int, device: torch.device) -> Tensor:
    # Made under inference mode, it could not take part in a training step later.
    with torch.inference_mode(False):
        return _smoother(length, sigma, radius, device)


def _taylor_step(patch: Tensor) -> tuple[Tensor, Tensor]:
    """Newton's step (B, K, 2) to the top of the log-parabola through patches (B, K, 3, 3); whether there is a top.

    DARK's rescaling to the old maximum adds a constant to the logarithm and so drops out.
    """
    top = patch.amax(dim=(-2, -1), keepdim=True)
    logs = patch.clamp(min=1e-10).maximum(top * 1e-3).log()
    above_left, above, above_right, left, here, right, below_left, below, below_right = logs.flatten(-2).unbind(-1)
    slope_x, slope_y = (right - left) / 2, (below - above) / 2
    bend_xx, bend_yy = right - 2 * here + left, below - 2 * here + above
    bend_xy = (below_right - below_left - above_right + above_left) / 4
    determinant = bend_xx * bend_yy - bend_xy**2
    is_top = (determinant > 1e-8) & (bend_xx < 0)
    safe = torch.where(is_top, determinant, 1.0)
    step_x = (bend_xy * slope_y - bend_yy * slope_x) / safe
    step_y = (bend_xy * slope_x - bend_xx * slope_y) / safe
    return torch.stack([step_x, step_y], dim=-1), is_top[..., None]
