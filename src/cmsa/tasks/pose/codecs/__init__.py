"""Keypoints as what a network can put out, and back: one table of codecs, by the names that recipes use."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from cmsa.guidance.suggestion import no_such
from cmsa.structures.installed import installed_names, load_installed
from cmsa.tasks.pose.codecs.codec import Codec
from cmsa.tasks.pose.codecs.heatmaps import UDP, Dark, ExactQuarterOffset, QuarterOffset
from cmsa.tasks.pose.codecs.simcc import SimCC

__all__ = ["CODECS", "Codec", "codec_class", "codec_of", "codec_options", "create_codec", "with_head"]

ENTRY_POINTS = "cmsa.codecs"

CODECS: dict[str, type[Codec]] = {
    "quarter": QuarterOffset,
    "exact_quarter": ExactQuarterOffset,
    "dark": Dark,
    "udp": UDP,
    "simcc": SimCC,
}
"""A codec of one's own is added here, from anywhere, or by an entry point of the group ``cmsa.codecs``, by which the
commands find it too; ``docs/extend.md`` shows one."""


def codec_class(name: str) -> type[Codec]:
    """The class of a codec.

    Raises:
        ValueError: there is none of that name, or what a package has under it cannot be loaded.
    """
    if name not in CODECS and (found := load_installed(ENTRY_POINTS, name)) is not None:
        CODECS[name] = found
    if name not in CODECS:
        there = dict.fromkeys([*CODECS, *installed_names(ENTRY_POINTS)])
        raise ValueError(no_such("codec", name, there))
    return CODECS[name]


def create_codec(name: str, input_size: tuple[int, int], map_size: tuple[int, int], **options: Any) -> Codec:
    """A codec by its name.

    Args:
        name: one of ``CODECS``.
        input_size: (H, W) of the network's input.
        map_size: (h, w) of the head's maps.
        options: further arguments of its class; None leaves one as it is by default.

    Raises:
        ValueError: there is no such codec, or it has no such option.

    Examples:
        >>> create_codec("udp", (64, 48), (32, 24), sigma=None)
        UDP((64, 48), (32, 24), sigma=1)
    """
    kind = codec_class(name)
    given = {key: value for key, value in options.items() if value is not None}
    unknown = sorted(given.keys() - signature(kind).parameters.keys())
    if unknown:
        raise ValueError(f"codec {name!r} has no option {', '.join(unknown)}")
    return kind(input_size, map_size, **given)


def codec_of(options: Mapping[str, Any]) -> str:
    """The codec of a model that names none, from its options: UDP of heatmaps, else the first that reads its head."""
    head = options.get("head", "heatmap")
    return "udp" if head in UDP.heads else next((name for name, kind in CODECS.items() if head in kind.heads), "udp")


def with_head(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A model's options, and with them the head that a codec needs.

    Raises:
        ValueError: there is no such codec, or the options name a head that it cannot read.
    """
    heads = codec_class(name).heads
    head = options.get("head", "heatmap" if "heatmap" in heads else heads[0])
    if head not in heads:
        raise ValueError(f"the codec {name!r} reads the head {' or '.join(heads)}, the model's options say {head!r}")
    return dict(options) if head == "heatmap" else {**options, "head": head}


def codec_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A codec and its options as weights keep them, from a recipe's entries.

    Args:
        settings: ``codec``; ``loss``, None for the codec's own; ``sigma``, None for the codec's own; and
            ``label_smoothing``, 0 for none.

    Raises:
        ValueError: there is no such codec, or it has no such loss.
    """
    name, losses = settings["codec"], codec_class(settings["codec"]).losses
    loss = settings.get("loss") or next(iter(losses), None)
    if loss is not None and loss not in losses:
        raise ValueError(no_such("loss", loss, losses, of=f"the codec {name!r}"))
    options = {"codec": name, "loss": loss}
    if settings.get("sigma") is not None:
        options["sigma"] = settings["sigma"]
    if settings.get("label_smoothing"):
        options["label_smoothing"] = settings["label_smoothing"]
    return options
