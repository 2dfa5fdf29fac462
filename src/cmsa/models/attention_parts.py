"""Which parts an attention has: independent options, and the rows of the paper's Table 5 as names for combinations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from cmsa.guidance.suggestion import did_you_mean

Cascade = Literal["none", "additive", "channel_fusion"]
AttentionKind = Literal["standard", "grouped", "cascade", "channel_fusion", "cmsa"]
"""The rows of the paper's Table 5."""


@dataclass(frozen=True)
class AttentionParts:
    """The parts of an attention; each may be had with and without every other.

    Attributes:
        groups: heads are split into groups, each with windows and a key stride of its own. Without, all heads of a
            stage form one group, with the window and the stride of its first.
        cascade: how a group's keys and values take in what the group before put out: ``none``; ``additive``,
            ``kv + W out``, a projection that ``none`` has not; ``channel_fusion``, a 1x1 convolution of the two.
        spatial_fusion: depth-wise 3x3, GELU and 1x1 convolution on keys and values.
        key_pooling: keys and values are pooled by ``kv_strides``. Without, all strides are 1.
        bias: the relative position bias is learned. Without, it stays what it begins as, zero.

    Examples:
        >>> AttentionParts.of("grouped")
        AttentionParts(groups=True, cascade='none', spatial_fusion=False, key_pooling=True, bias=True)
        >>> AttentionParts.of({"cascade": "additive"}).spatial_fusion
        True
    """

    groups: bool = True
    cascade: Cascade = "channel_fusion"
    spatial_fusion: bool = True
    key_pooling: bool = True
    bias: bool = True

    def __post_init__(self) -> None:
        if self.cascade not in get_args(Cascade):
            raise ValueError(f"attention: cascade must be one of {get_args(Cascade)}, got {self.cascade!r}")
        for name in ("groups", "spatial_fusion", "key_pooling", "bias"):
            if not isinstance(value := getattr(self, name), bool):
                raise ValueError(f"attention: {name} must be true or false, got {value!r}")

    def __str__(self) -> str:
        """The row of Table 5, or the options one by one."""
        names = [name for name, parts in TABLE_5.items() if parts == self]
        return names[0] if names else ", ".join(f"{name}={value}" for name, value in vars(self).items())

    @classmethod
    def of(cls, attention: AttentionParts | AttentionKind | Mapping[str, Any]) -> AttentionParts:
        """Parts from the name of a row of Table 5, or from options, those left out being the full attention's.

        Raises:
            ValueError: there is no such row or option, or an option has no such value.
        """
        if isinstance(attention, AttentionParts):
            return attention
        if isinstance(attention, str):
            if attention not in TABLE_5:
                raise ValueError(f"attention must be one of {tuple(TABLE_5)} or a mapping, got {attention!r}")
            return TABLE_5[attention]
        if not isinstance(attention, Mapping):
            raise ValueError(f"attention must be one of {tuple(TABLE_5)} or a mapping, got {attention!r}")
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(attention) - set(known)):
            near = did_you_mean(unknown, known)
            raise ValueError(f"attention has no option {', '.join(unknown)}; there are {', '.join(known)}{near}")
        return cls(**attention)


TABLE_5: dict[AttentionKind, AttentionParts] = {
    "standard": AttentionParts(groups=False, cascade="none", spatial_fusion=False, key_pooling=False),
    "grouped": AttentionParts(cascade="none", spatial_fusion=False),
    "cascade": AttentionParts(cascade="additive", spatial_fusion=False),
    "channel_fusion": AttentionParts(spatial_fusion=False),
    "cmsa": AttentionParts(),
}
"""Rows 1 to 5. Not each differs from the one before in one part only: row 1 attends to unpooled keys, rows 2 to 5 to
pooled ones; row 3 adds, besides the cascade, the projection without which channels would not fit."""


def check_strides(options: Mapping[str, Any]) -> None:
    """Refuse key strides that the chosen attention would not use.

    Args:
        options: that a user gave for a network; ``attention`` and ``kv_strides`` count.

    Raises:
        ValueError: ``kv_strides`` pools keys, ``attention`` does not.
    """
    attention, strides = options.get("attention", {}), options.get("kv_strides", ())
    if not AttentionParts.of(attention).key_pooling and any(stride != 1 for stage in strides for stride in stage):
        raise ValueError(
            f"kv_strides {strides}: attention {attention!r} does not pool keys; give its parts with key_pooling true"
        )
