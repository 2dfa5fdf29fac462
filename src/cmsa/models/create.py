"""Networks by name: ``create_model``, and ``load_weights``, which rebuilds the network that a file belongs to."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from cmsa.guidance.errors import first_line
from cmsa.guidance.shipped import shipped_weights
from cmsa.guidance.suggestion import did_you_mean
from cmsa.models.attention_parts import check_strides
from cmsa.models.backbones import TIMM, BackboneNetwork, Builder, Interpolation, backbone_names, find_backbone
from cmsa.models.base import BaseNetwork, Size
from cmsa.models.description import Description
from cmsa.models.heads.table import head_of
from cmsa.models.hub import HubModel
from cmsa.models.network import CMSA
from cmsa.models.pretrained import weights_name
from cmsa.models.variants import VARIANTS
from cmsa.models.weights import load_tensors, read_weights

PRETRAINED_BACKBONE = "pretrained_backbone"
"""The option that says where numbers come from, not what is built: it is not written into weights."""


def create_model(
    name: str, task: str = "classification", input_size: Size | None = None, pretrained: bool = False, **options: Any
) -> BaseNetwork:
    """A network with the head of a task.

    Args:
        name: ``cmsa_n``, ``cmsa_s``, ``cmsa_b`` or ``cmsa_l``; ``timm/NAME`` for any network of timm that gives maps;
            or what was registered with ``register_backbone``.
        task: pose gives heatmaps (B, num_keypoints, h, w), or what ``head`` puts out; so does head_pose;
            classification logits (B, num_classes); others what their entry in ``HEADS`` says.
        input_size: (H, W) of the images; by default 32x24 for pose and 32x32 otherwise.
        pretrained: load the shipped weights of this name, task and size; options that are not given are then those
            that they were trained with.
        options: of the head: for pose ``fusion``, ``mixer`` (CMSA's default; the authors' release), ``linear`` (the
            paper's parameter counts) or ``deconvolution`` (the others' default; SimpleBaseline's), ``num_keypoints``
            (17), and ``head``, ``heatmap`` (default) or ``simcc`` with ``split`` bins per pixel (2); for head pose
            ``head``, ``ssr`` (default), ``bins`` or ``rotation_6d``; for classification ``num_classes`` (100). All
            others are arguments of ``CMSA``, or of ``TimmNetwork``, such as ``working_size``.

    Raises:
        ValueError: there is no such name, task, option, fusion or head, the network cannot be made with these options,
            the size is not (H, W), or no weights of these were shipped.

    Examples:
        >>> import torch
        >>> model = create_model("cmsa_n", "pose", (64, 48), num_keypoints=21)
        >>> model(torch.zeros(2, 3, 64, 48)).shape
        torch.Size([2, 21, 64, 48])
        >>> create_model("cmsa_n", "pose", (32, 24), pretrained=True).description.decoding["codec"]
        'udp'
    """
    entry, build = head_of(task), _builder(name)
    if name in VARIANTS:
        check_strides(options)
    size = _whole_size(input_size or entry.input_size)
    _check_options(name, task, options, [*entry.options, *_parameters(build)])
    of_head = {key: options.pop(key) for key in entry.options if key in options}
    if pretrained:
        return _shipped(name, task, size, options | of_head)
    try:
        model = build(input_size=size, **options)
        of_head = {key: model.head_defaults.get(key, default) for key, default in entry.options.items()} | of_head
        of_head = {key: value for key, value in of_head.items() if value is not None}
        model.head = entry.build(model.map_shapes, **of_head)
    except (TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, AssertionError) as error:
        # Options of other kinds, which fail wherever the network happens to trip over them.
        raise ValueError(f"{name} for {task} cannot be made with {options | of_head} ({first_line(error)})") from error
    model.num_classes = of_head.get("num_classes", 0)
    kept = {key: value for key, value in options.items() if key != PRETRAINED_BACKBONE}
    mean, std = model.normalization
    model.description = Description(name, task, model.input_size, kept | of_head, mean=mean, std=std)
    return model


def _whole_size(size: Any) -> Size:
    try:
        height, width = map(operator.index, size)
    except (TypeError, ValueError):
        raise ValueError(f"input_size must be (height, width) in whole pixels, got {size!r}") from None
    return height, width


def _builder(name: str) -> Callable[..., BaseNetwork]:
    """What makes a network of this name from ``input_size`` and options."""
    if name in VARIANTS:
        return partial(CMSA, **VARIANTS[name])
    # timm takes as long to import as PyTorch does.
    if name.startswith(TIMM):
        from cmsa.models.timm_backbones import TimmNetwork

        return partial(TimmNetwork, name.removeprefix(TIMM))
    own = find_backbone(name)
    if own is not None:
        return partial(_own_network, own)
    import timm

    there = ", ".join([*VARIANTS, *backbone_names(), f"{TIMM}NAME for any network of timm"])
    near = (
        f"; did you mean {TIMM}{name}?" if timm.is_model(name) else did_you_mean([name], [*VARIANTS, *backbone_names()])
    )
    raise ValueError(f"no model {name!r}; there are {there}{near}")


def _own_network(
    build: Builder,
    *,
    input_size: Size,
    working_size: Size | None = None,
    interpolation: Interpolation = "bicubic",
    **options: Any,
) -> BackboneNetwork:
    return BackboneNetwork(build(**options), input_size, working_size=working_size, interpolation=interpolation)


def _parameters(build: Any) -> list[str]:
    """Names of the options that a builder takes."""
    names = [
        name
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name not in ("input_size", "num_classes")
    ]
    if isinstance(build, partial) and build.func is _own_network:
        # A user's own module has its options, and those of the network around it.
        return names + _parameters(build.args[0])
    return names


def _check_options(name: str, task: str, options: Collection[str], known: Collection[str]) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        near = did_you_mean(unknown, known)
        raise ValueError(
            f"{name} for {task} has no option {', '.join(unknown)}; there are {', '.join(sorted(known))}{near}"
        )


def _shipped(name: str, task: str, input_size: Size, options: dict[str, Any]) -> BaseNetwork:
    wanted = weights_name(name, task, input_size)
    path = shipped_weights(wanted)
    model = load_weights(path)
    trained = model.description.options
    if not options.items() <= trained.items():
        raise ValueError(f"{path.name} was trained with {trained}, not with {options}")
    return model


def load_weights(path: Path | str, input_size: Size | None = None) -> BaseNetwork:
    """Rebuild a network from its weights file, in float32 and eval mode.

    Args:
        path: a file of ``save_weights``.
        input_size: another (H, W) than the file's, see ``set_input_size``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no weights file, its network cannot be made here, or keys or shapes do not fit what the
            description promises; they are listed.

    Examples:
        >>> from cmsa import create_model, save_weights
        >>> save_weights("mine.safetensors", create_model("cmsa_n", num_classes=3))
        >>> load_weights("mine.safetensors").description.options["num_classes"]
        3
    """
    tensors, description = read_weights(path)
    try:
        model = create_model(description.name, description.task, description.input_size, **description.options)
    except ValueError as error:
        # A network of someone else's package, which is not installed here, or a damaged file.
        raise ValueError(f"{path}: {error}") from error
    load_tensors(model, tensors, str(path))
    model.description, model.file = description, Path(path)
    if input_size is not None:
        model.set_input_size(_whole_size(input_size))
    return model.eval()


HubModel.load_file = staticmethod(load_weights)
