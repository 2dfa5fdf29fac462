"""Mixup of a batch of images and their soft labels (arXiv 1710.09412), without a word to the CPU."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

_STEPS = 4096


def mixup(images: Tensor, targets: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Blend a batch with itself in reverse order, one share λ ~ Beta(alpha, alpha) for the whole batch, as timm does.

    Args:
        images: (B, 3, H, W), normalised.
        targets: (B, C) probabilities.
        alpha: of the Beta distribution; 0 leaves everything as it is.
        generator: source of λ.

    Returns:
        ``λ x + (1 - λ) x[::-1]`` of both.
    """
    if alpha <= 0:
        return images, targets
    # The quantile of a uniform number is drawn on the device; a CPU's Beta would make a GPU wait.
    quantiles = _beta_quantiles(alpha, images.device)
    place = torch.rand(1, generator=generator, device=images.device, dtype=torch.float32) * _STEPS
    low = place.floor().long().clamp(max=_STEPS - 1)
    share = torch.lerp(quantiles[low], quantiles[low + 1], place - low)
    return torch.lerp(images.flip(0), images, share), torch.lerp(targets.flip(0), targets, share)


@lru_cache
def _beta_quantiles(alpha: float, device: torch.device) -> Tensor:
    from scipy.special import betaincinv

    quantiles = betaincinv(alpha, alpha, torch.linspace(0, 1, _STEPS + 1).double().numpy())
    return torch.from_numpy(quantiles).float().to(device)
