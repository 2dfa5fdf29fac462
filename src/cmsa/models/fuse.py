"""Structural reparameterisation: a trained network as the smaller one that computes the same."""

from __future__ import annotations

import copy
from typing import TypeVar

from timm.utils.model import reparameterize_model
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cmsa.models.attention import CascadedMultiScaleAttention, SpatialFusion, WindowAttention
from cmsa.models.backbones import BackboneNetwork
from cmsa.models.heads.deconvolution import Deconvolution
from cmsa.models.heads.heatmap import TransposeNorm
from cmsa.models.network import Block
from cmsa.models.reparam import ConvNorm, RepConv, ResidualDepthwise, norm_scale_shift

FUSING = (ConvNorm, RepConv, ResidualDepthwise, SpatialFusion, TransposeNorm, WindowAttention, Deconvolution)
"""Blocks that say themselves what they are for inference."""

Network = TypeVar("Network", bound=nn.Module)


def fuse(model: Network) -> Network:
    """A copy for inference in which parallel branches are one convolution and every BatchNorm is folded away.

    The copy computes what ``model.eval()`` computes: running statistics are folded, never a batch's, so a model in
    training mode is treated as if it were in eval mode. ``model`` itself stays as it is. The copy cannot be trained
    nor take another input size: its bias tables are laid out for the one it has.

    Of a backbone that is not of this package only timm's own branches are folded (MobileOne, RepVGG, FastViT); its
    BatchNorms stay, and are folded by ONNX Runtime and OpenVINO.

    Raises:
        ValueError: a BatchNorm is left, with its name: the model has parts that are not of this package.
    """
    fused = copy.deepcopy(model)
    _fuse_children(fused)
    fused.eval()
    foreign = "backbone." if isinstance(fused, BackboneNetwork) else None
    if isinstance(fused, BackboneNetwork):
        fused.backbone = reparameterize_model(fused.backbone)
    left = [
        name
        for name, module in fused.named_modules()
        if isinstance(module, _BatchNorm) and not (foreign and name.startswith(foreign))
    ]
    if left:
        raise ValueError(f"{len(left)} BatchNorms cannot be folded: {', '.join(left)}")
    # Its tensors have other names than those that a weights file of this description holds.
    vars(fused)["fused"] = True
    return fused


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
