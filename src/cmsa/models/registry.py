"""The variants as models of timm: importing this makes ``timm.create_model("cmsa_s")`` work.

``import cmsa`` does so where timm has been imported before. Else it is left to who wants it, for importing timm takes
as long as importing PyTorch.
"""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cmsa.guidance.shipped import shipped_names
from cmsa.models.network import CMSA
from cmsa.models.variants import VARIANTS
from cmsa.structures import IMAGENET_MEAN, IMAGENET_STD

_DEFAULT_CONFIG = {
    "url": "",
    "num_classes": 1000,
    "input_size": (3, 32, 32),
    "pool_size": None,
    "interpolation": "bicubic",
    "mean": IMAGENET_MEAN,
    "std": IMAGENET_STD,
    "first_conv": "stem.embedding1.depthwise.conv.conv",
    "classifier": "head.logits",
}

default_cfgs = generate_default_cfgs({name: _DEFAULT_CONFIG for name in VARIANTS})
"""Found by timm's ``register_model`` under this name."""


def _build(variant: str, pretrained: bool, **options: Any) -> nn.Module:
    for name in ("img_size", "input_size"):
        size = options.pop(name, None)
        if size is not None:
            options["input_size"] = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    options.setdefault("num_classes", 1000)
    if pretrained:
        raise ValueError(
            f"timm's pretrained=True has no weights of {variant}: none were trained for ImageNet's classes. Take "
            "cmsa.create_model(name, task, pretrained=True) or cmsa.load_weights; there are "
            f"{', '.join(shipped_names())}"
        )
    return build_model_with_cfg(
        CMSA,
        variant,
        pretrained,
        feature_cfg={"out_indices": (0, 1, 2), "feature_cls": "getter"},
        **VARIANTS[variant] | options,
    )


@register_model
def cmsa_n(pretrained: bool = False, **options: Any) -> nn.Module:
    """CMSA-N, ours, for small devices; ``input_size`` or ``img_size`` is (H, W)."""
    return _build("cmsa_n", pretrained, **options)


@register_model
def cmsa_s(pretrained: bool = False, **options: Any) -> nn.Module:
    """CMSA-S of the paper; ``input_size`` or ``img_size`` is (H, W)."""
    return _build("cmsa_s", pretrained, **options)


@register_model
def cmsa_b(pretrained: bool = False, **options: Any) -> nn.Module:
    """CMSA-B of the paper; ``input_size`` or ``img_size`` is (H, W)."""
    return _build("cmsa_b", pretrained, **options)


@register_model
def cmsa_l(pretrained: bool = False, **options: Any) -> nn.Module:
    """CMSA-L of the paper; ``input_size`` or ``img_size`` is (H, W)."""
    return _build("cmsa_l", pretrained, **options)
