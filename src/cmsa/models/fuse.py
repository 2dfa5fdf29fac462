"""Structural reparameterisation: a trained network as the smaller one that computes the same."""

from __future__ import annotations

import copy
from typing import TypeVar, cast

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

_NEAR, _ROUNDINGS = 0.01, 64
"""How far a copy may be from the network, of the largest number: far above what rounding does in float32 (1e-5); in
16 bits so many roundings. One in seven untrained networks magnifies rounding beyond that: attention to huge numbers
jumps from one token to the next. Their copies are judged in float64, where folding is exact to 1e-9 of theirs."""

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
    expected = _answer(fused) if _answers(fused) else None
    _fold(fused)
    if expected is not None:
        _check_answer(_answer(fused), expected, model)
    # Its tensors have other names than those that a weights file of this description holds.
    vars(fused)["fused"] = True
    return fused


def _fold(fused: nn.Module) -> None:
    """Fold a network in place."""
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


def _answers(model: nn.Module) -> bool:
    """Not a part of a network, nor what has no numbers yet."""
    parameter = next(model.parameters(), None)
    return getattr(model, "input_size", None) is not None and parameter is not None and not parameter.is_meta


@torch.no_grad()
def _answer(model: nn.Module) -> Tensor:
    """(1, ...) what a network says of an image without an edge."""
    height, width = cast("tuple[int, int]", model.input_size)
    waves = torch.linspace(-20, 20, 3 * height * width, dtype=torch.float64).sin() * 2
    answer: Tensor = model(waves.reshape(1, 3, height, width).to(next(model.parameters())))
    return answer.double()


def _check_answer(found: Tensor, expected: Tensor, model: nn.Module) -> None:
    """Nothing can be said of a network that answers NaN itself."""
    if not expected.isfinite().all():
        return
    rounding = torch.finfo(next(model.parameters()).dtype).eps
    if _apart(found, expected) <= max(_NEAR, _ROUNDINGS * rounding):
        return
    if found.isfinite().all():
        precise = copy.deepcopy(model).cpu().double().eval()
        expected = _answer(precise)
        _fold(precise)
        found = _answer(precise)
        if _apart(found, expected) <= _NEAR:
            return
    raise ValueError(
        f"the fused network answers otherwise than the network: by {(found - expected).abs().max().item():.2g}, where "
        f"the largest number is {expected.abs().max().item():.2g}; a BatchNorm's statistics may be beyond what its "
        "precision can fold"
    )


def _apart(found: Tensor, expected: Tensor) -> float:
    """How far an answer is from another, of the largest number, and of one where all are smaller; NaN of no numbers."""
    return (found - expected).abs().max().item() / max(expected.abs().max().item(), 1.0)


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
