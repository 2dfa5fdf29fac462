"""Any network of timm as a backbone: ``timm/resnet50``, ``timm/swin_base_patch4_window7_224``, ..."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import nn

from cmsa.models.backbones import BackboneNetwork, Interpolation, round_up
from cmsa.models.base import Size

MAPS = 4
"""By default the head takes the last four maps, strides 4 to 32 of most networks, or as many as there are."""


class TimmNetwork(BackboneNetwork):
    """A network around timm's ``features_only`` form of any of its models.

    Networks that are built for one size (ViT, Swin) are built for the size that they see. Where a network refuses a
    size, or would cut pixels off, images are padded up to a multiple of its largest stride.

    Args:
        name: as timm has it, e.g. ``resnet50`` or ``vit_base_patch16_224``.
        input_size: (H, W) of the images.
        working_size, interpolation: see ``BackboneNetwork``.
        out_indices: which of timm's maps the head takes, fine to coarse; one may stand several times.
        stem_stride: 1 makes the first convolution one of 3x3 pixels and stride 1, and drops a max pooling after it
            (for CIFAR, arXiv 1512.03385, section 4.2); the first layer's own stride by default.
        pretrained_backbone: start from timm's weights, which are downloaded where they are not in its cache.
        backbone_options: further arguments of ``timm.create_model``, e.g. ``drop_path_rate``.

    Raises:
        ValueError: timm has no such model, or none that gives maps, or does not know an option.
        ConnectionError: the pretrained weights could not be had.
    """

    def __init__(
        self,
        name: str,
        input_size: Size,
        *,
        working_size: Size | None = None,
        interpolation: Interpolation = "bicubic",
        out_indices: Sequence[int] | None = None,
        stem_stride: int | None = None,
        pretrained_backbone: bool = False,
        backbone_options: Mapping[str, Any] | None = None,
    ) -> None:
        if not timm.is_model(name):
            raise ValueError(f"timm {timm.__version__} has no model {name!r}; there are {_similar(name)}")
        source = get_pretrained_cfg(name)
        options = dict(backbone_options or {})
        seen = (working_size or input_size)[0], (working_size or input_size)[1]
        places: list[int] | None = None
        if out_indices is not None:
            options["out_indices"] = sorted(set(out_indices))
            places = [options["out_indices"].index(index) for index in out_indices]
        fixed = bool(source and source.fixed_input_size)
        multiple, count = _multiple_of(name, seen, fixed, options)
        if out_indices is None and count > MAPS:
            options["out_indices"] = list(range(count - MAPS, count))
        if fixed:
            options["img_size"] = round_up(seen, multiple)
        backbone = _build(name, options, pretrained_backbone)
        if stem_stride is not None:
            set_stem_stride(backbone, stem_stride, source.first_conv if source else None)
        layout = getattr(backbone, "output_fmt", "NCHW")
        super().__init__(
            backbone,
            input_size,
            working_size=working_size,
            interpolation=interpolation,
            multiple=multiple,
            fixed=fixed,
            layout="NHWC" if layout == "NHWC" else "NCHW",
            order=places,
        )
        self.timm_name = name
        if pretrained_backbone and source is not None:
            self.normalization = tuple(source.mean), tuple(source.std)

    def no_weight_decay(self) -> set[str]:
        """What timm says of the whole model; ``features_only`` joins names by underscores."""
        with torch.device("meta"):
            whole = timm.create_model(self.timm_name)
        names = {name.replace(".", "_") for name in getattr(whole, "no_weight_decay", set)()}
        return {
            name
            for name, _ in self.named_parameters()
            if name.removeprefix("backbone.").removeprefix("model.").replace(".", "_") in names
        }


def _similar(name: str) -> str:
    return ", ".join(difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0.5)) or "hundreds of others"


def _build(name: str, options: Mapping[str, Any], pretrained: bool = False) -> nn.Module:
    try:
        model: nn.Module = timm.create_model(name, features_only=True, **options)
    except (TypeError, RuntimeError, AssertionError, AttributeError, IndexError) as error:
        raise ValueError(f"timm/{name}: timm cannot make it give maps with the options {options}: {error}") from error
    if not pretrained:
        return model
    try:
        return timm.create_model(name, features_only=True, pretrained=True, **options)
    except Exception as error:  # the hub's client, and the network below it, raise many kinds
        raise ConnectionError(
            f"timm/{name}: its pretrained weights could not be had ({error}). They are downloaded once, into the cache "
            "of Hugging Face (HF_HOME): do that on a machine with a network and copy the cache, or leave "
            "pretrained_backbone off and start from random numbers, or from a weights file (model.init in a recipe)"
        ) from error


def _multiple_of(name: str, seen: Size, fixed: bool, options: Mapping[str, Any]) -> tuple[int, int]:
    """What sides must be multiples of, and how many maps there are.

    One, where the network takes the size as it is and covers it with its maps; else its largest stride; else 32, for
    inside a network may be coarser than the maps that it gives (HRNet).
    """
    with torch.device("meta"):
        model: Any = _build(name, options)
    strides: list[int] = model.feature_info.reduction()
    for multiple in (1, max(strides), 32):
        size = round_up(seen, multiple)
        try:
            if fixed:
                with torch.device("meta"):
                    model = _build(name, {**options, "img_size": size})
            sizes = _map_sizes(model, size)
        except (RuntimeError, AssertionError, ValueError) as error:
            refusal = error
            continue
        if all(
            height * stride >= size[0] and width * stride >= size[1]
            for (height, width), stride in zip(sizes, strides, strict=True)
        ):
            return multiple, len(strides)
        refusal = ValueError(f"its maps {sizes} do not cover the image")
    raise ValueError(f"timm/{name}: takes no images of {size} (HxW): {refusal}") from refusal


@torch.no_grad()
def _map_sizes(model: Any, size: Size) -> list[Size]:
    maps = model.eval()(torch.empty(1, 3, *size, device="meta"))
    first = 1 if getattr(model, "output_fmt", "NCHW") == "NHWC" else 2
    return [(x.shape[first], x.shape[first + 1]) for x in maps]


def set_stem_stride(backbone: nn.Module, stride: int, first: str | None) -> None:
    """Give the first convolution stride 1, in place.

    Raises:
        ValueError: another stride is asked for, or the first layer cuts patches.
    """
    modules = dict(backbone.named_modules())
    found = {name.replace(".", "_"): name for name in modules}.get((first or "").replace(".", "_"))
    conv = modules.get(found or "")
    if stride != 1 or not isinstance(conv, nn.Conv2d) or conv.kernel_size[0] % 2 == 0:
        raise ValueError(
            f"stem_stride must be 1, for a network whose first layer is a convolution with an odd kernel; got "
            f"{stride} for {type(backbone).__name__}"
        )
    stem = nn.Conv2d(conv.in_channels, conv.out_channels, 3, 1, 1, bias=conv.bias is not None)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    backbone.set_submodule(str(found), stem)
    if isinstance(getattr(backbone, "maxpool", None), nn.Module):
        backbone.maxpool = nn.Identity()
