"""Structural reparameterisation: a trained network as the smaller one that computes the same."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cmsa.models.attention import CascadedMultiScaleAttention, SpatialFusion, WindowAttention
from cmsa.models.backbones import BackboneNetwork
from cmsa.models.heads.deconvolution import Deconvolution
from cmsa.models.heads.heatmap import TransposeNorm
from cmsa.models.network import Block
from cmsa.models.reparam import ConvNorm, RepConv, ResidualDepthwise, norm_scale_shift

FUSING = (ConvNorm, RepConv, ResidualDepthwise, SpatialFusion, TransposeNorm, WindowAttention, Deconvolution)
"""Blocks that say themselves what they are for inference."""

_NEAR, _ROUNDINGS, _WORSE, _DRAWS = 0.01, 64, 4, 8
"""How far a copy may be from the network, of the largest number: far above what rounding does in float32 (1e-5); in
16 bits so many roundings. A network that has hardly been trained may be further from its own numbers in float64: then
the copy may be as far from those, times ``_WORSE``. How far that is differs a hundredfold from one rounding to the
next, so that ``_DRAWS`` images which are rounded otherwise count as well."""

Network = TypeVar("Network", bound=nn.Module)


def fuse(model: Network) -> Network:
    """A copy for inference in which parallel branches are one convolution and every BatchNorm is folded away.

    The copy computes what ``model.eval()`` computes: running statistics are folded, never a batch's, so a model in
    training mode is treated as if it were in eval mode. ``model`` itself stays as it is. The copy cannot be trained
    nor take another input size: its bias tables are laid out for the one it has.

    Of a backbone that is not of this package only timm's own branches are folded (MobileOne, RepVGG, FastViT); its
    BatchNorms stay, and are folded by ONNX Runtime and OpenVINO.

    Before it is given out, the copy answers one image as the network does.

    Raises:
        ValueError: a BatchNorm is left, with its name: the model has parts that are not of this package; or the
            copy answers otherwise than the network: its statistics are beyond what its precision can fold.

    Examples:
        >>> import torch
        >>> from cmsa import create_model
        >>> model = create_model("cmsa_n", "pose").eval()
        >>> fast = fuse(model)
        >>> images = torch.rand(1, 3, 32, 24)
        >>> torch.allclose(model(images), fast(images), atol=1e-4)
        True
        >>> sum(isinstance(module, torch.nn.BatchNorm2d) for module in fast.modules())
        0
    """
    fused = copy.deepcopy(model).eval()
    expected = _answer(fused)
    _fuse_children(fused)
    foreign = "backbone." if isinstance(fused, BackboneNetwork) else None
    if isinstance(fused, BackboneNetwork):
        from timm.utils.model import reparameterize_model

        fused.backbone = reparameterize_model(fused.backbone)
    left = [
        name
        for name, module in fused.named_modules()
        if isinstance(module, _BatchNorm) and not (foreign and name.startswith(foreign))
    ]
    if left:
        raise ValueError(f"{len(left)} BatchNorms cannot be folded: {', '.join(left)}")
    fused.eval()
    if expected is not None:
        _check_answer(_answer(fused), expected, model)
    # Its tensors have other names than those that a weights file of this description holds.
    vars(fused)["fused"] = True
    return fused


@torch.no_grad()
def _answer(model: nn.Module, rounding: float = 0.0, draw: int = 0) -> Tensor | None:
    """(1, ...) what a network says of an image without an edge; None of a part, and of what has no numbers yet.

    The image's numbers may be off by some ``rounding``, a share of them, each draw in its own way.
    """
    size, parameter = getattr(model, "input_size", None), next(model.parameters(), None)
    if size is None or parameter is None or parameter.is_meta:
        return None
    height, width = size
    waves = torch.linspace(-20, 20, 3 * height * width, dtype=torch.float64).sin() * 2
    random = torch.Generator().manual_seed(draw)
    waves *= 1 + rounding * torch.randn(waves.shape, generator=random, dtype=torch.float64)
    answer: Tensor = model(waves.reshape(1, 3, height, width).to(parameter))
    return answer.double()


def _check_answer(found: Tensor | None, expected: Tensor, model: nn.Module) -> None:
    """Nothing can be said of a network that answers NaN itself."""
    if found is None or not expected.isfinite().all():
        return
    apart, largest = (found - expected).abs().max().item(), expected.abs().max().item()
    rounding = torch.finfo(next(model.parameters()).dtype).eps
    near = max(_NEAR, _ROUNDINGS * rounding)
    # Written so that NaN fails too.
    if apart <= near * max(largest, 1.0):
        return
    precise = copy.deepcopy(model).eval().double()
    exact, *others = (_answer(precise, rounding * (draw > 0), draw) for draw in range(1 + _DRAWS))
    assert exact is not None
    imprecise = max((other - exact).abs().max() for other in (expected, *others) if other is not None)
    if not (found - exact).abs().max() <= _WORSE * imprecise:
        raise ValueError(
            f"the fused network answers otherwise than the network: by {apart:.2g}, where the largest number is "
            f"{largest:.2g}; a BatchNorm's statistics may be beyond what its precision can fold"
        )


def _fuse_children(parent: nn.Module) -> None:
    for name, child in parent.named_children():
        if isinstance(child, FUSING):
            setattr(parent, name, child.fuse())
        elif not (name == "backbone" and isinstance(parent, BackboneNetwork)):
            _fuse_children(child)
    if isinstance(parent, Block) and isinstance(parent.norm1, _BatchNorm):
        _fold_into_attention(parent.norm1, parent.attention)
        parent.norm1 = nn.Identity()


def _fold_into_attention(norm: _BatchNorm, attention: CascadedMultiScaleAttention) -> None:
    """W (scale x + shift) + b is (W scale) x + (W shift + b)."""
    scale, shift = norm_scale_shift(norm)
    for linear in (attention.q, attention.kv):
        linear.bias.data += linear.weight.data @ shift.data
        linear.weight.data *= scale.data
