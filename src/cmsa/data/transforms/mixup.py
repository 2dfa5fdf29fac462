"""Mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899) of a batch and its soft labels, without a word to the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

_STEPS = 4096


@dataclass(frozen=True)
class Mixing:
    """What a batch is blended by, as DeiT does it: one draw for the whole batch, each image with its mirror in it.

    Attributes:
        mixup: alpha of mixup's Beta distribution; 0 for none.
        cutmix: alpha of CutMix's; 0 for none.
        switch: where there are both, how often it is CutMix.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    switch: float = 0.5

    def __bool__(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0


def mix(images: Tensor, targets: Tensor, mixing: Mixing, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Blend images (B, 3, H, W) and targets (B, C) by mixup or CutMix."""
    if not (mixing.mixup > 0 and mixing.cutmix > 0):
        blend, alpha = (cutmix, mixing.cutmix) if mixing.cutmix > 0 else (mixup, mixing.mixup)
        return blend(images, targets, alpha, generator)
    cut = torch.rand(1, generator=generator, device=images.device) < mixing.switch
    pasted, faded = (
        blend(images, targets, alpha, generator) for blend, alpha in ((cutmix, mixing.cutmix), (mixup, mixing.mixup))
    )
    return torch.where(cut, pasted[0], faded[0]), torch.where(cut, pasted[1], faded[1])


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
    share = _beta_share(alpha, generator, images.device)
    return torch.lerp(images.flip(0), images, share), torch.lerp(targets.flip(0), targets, share)


def cutmix(images: Tensor, targets: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste a rectangle of the batch in reverse order into the batch, the same for the whole batch, as timm does.

    Its sides are √(1 - λ) of the image's, λ ~ Beta(alpha, alpha), its centre anywhere; what lies outside is cut off.
    Targets are blended by the share of the pixels that stayed.

    Args:
        images: (B, 3, H, W).
        targets: (B, C) probabilities.
        alpha: of the Beta distribution; 0 leaves everything as it is.
        generator: source of λ and of the place.
    """
    if alpha <= 0:
        return images, targets
    device = images.device
    side = (1 - _beta_share(alpha, generator, device)).sqrt()
    place = torch.rand(2, generator=generator, device=device, dtype=torch.float32)
    rows, columns = (
        _within(length, side, place[axis], device) for axis, length in enumerate((images.shape[2], images.shape[3]))
    )
    inside = rows[:, None] & columns[None, :]
    share = 1 - inside.float().mean()
    return torch.where(inside, images.flip(0), images), torch.lerp(targets.flip(0), targets, share)


def _within(length: int, side: Tensor, place: Tensor, device: torch.device) -> Tensor:
    """Which pixels of an axis lie in the rectangle."""
    half, center = (length * side).floor().div(2).floor(), (length * place).floor()
    pixels = torch.arange(length, device=device)
    return (pixels >= center - half) & (pixels < center + half)


def _beta_share(alpha: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """λ ~ Beta(alpha, alpha), (1,)."""
    # The quantile of a uniform number is drawn on the device; a CPU's Beta would make a GPU wait.
    quantiles = _beta_quantiles(alpha, device)
    place = torch.rand(1, generator=generator, device=device, dtype=torch.float32) * _STEPS
    low = place.floor().long().clamp(max=_STEPS - 1)
    return torch.lerp(quantiles[low], quantiles[low + 1], place - low)


@lru_cache
def _beta_quantiles(alpha: float, device: torch.device) -> Tensor:
    from scipy.special import betaincinv

    quantiles = betaincinv(alpha, alpha, torch.linspace(0, 1, _STEPS + 1).double().numpy())
    return torch.from_numpy(quantiles).float().to(device)
