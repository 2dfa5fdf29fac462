"""Weights files: safetensors with a description of the network they belong to. Nothing else reads or writes them."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cmsa.files.whole import whole_file
from cmsa.guidance.counts import first_of
from cmsa.models.description import Description
from cmsa.models.resizing import fit_bias_tables

_WRAPPERS = ("_orig_mod", "module")
"""Where ``torch.compile``, and DataParallel and DistributedDataParallel, keep the network that they wrap."""
_OF_WRAPPERS = re.compile(rf"(?:(?:{'|'.join(_WRAPPERS)})\.)+")
_NAMED = 3
"""Tensors of each kind that an error names."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The network itself, where it is wrapped to be compiled or to run on several GPUs."""
    for name in _WRAPPERS * 2:
        inner = getattr(model, name, None)
        model = inner if isinstance(inner, nn.Module) else model
    return model


def describe(model: nn.Module) -> Description:
    """What a network says of itself, at its present input size.

    Raises:
        ValueError: it was made without ``create_model`` and so does not say how it is fed.
    """
    model = unwrapped(model)
    description = getattr(model, "description", None)
    if not isinstance(description, Description):
        raise ValueError("the model has no description: make it with create_model or load_weights")
    return replace(description, input_size=model.input_size)  # type: ignore[arg-type]


@contextmanager
def reading(model: nn.Module) -> Iterator[Description]:
    """What a network says of itself, for those who make a task of it.

    Raises:
        ValueError: as ``describe``; or nothing can be made of it, and then the file is named that it was loaded from.
    """
    file = getattr(unwrapped(model), "file", None)
    try:
        yield describe(model)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        if file is None:
            raise
        told = error if isinstance(error, ValueError) else f"what it says of itself is damaged ({error!r})"
        raise ValueError(f"{file}: {told}") from error


def save_weights(path: Path | str, model: nn.Module, dtype: torch.dtype | None = None, **changes: Any) -> None:
    """Write a network's tensors and description as safetensors.

    Args:
        path: file to write; it appears whole or not at all.
        model: of ``create_model`` or ``load_weights``; wrapped by ``torch.compile`` or DistributedDataParallel or not.
        dtype: of floating-point tensors, e.g. ``torch.float16`` for shipping; as they are by default.
        changes: fields of the description to replace, e.g. ``training=...``.

    Raises:
        ValueError: the network has no description, or is fused and could not be loaded again; names are not as many as
            its keypoints or classes; or ``dtype`` is not of floating-point numbers.
        OSError: the file cannot be written; one that was there before stays.

    Examples:
        >>> import torch
        >>> from cmsa import create_model, load_weights
        >>> network = create_model("cmsa_n", num_classes=3)
        >>> save_weights("half.safetensors", network, dtype=torch.float16, names=tuple("abc"))
        >>> load_weights("half.safetensors").description.names
        ('a', 'b', 'c')
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype must be one of floating-point numbers, got {dtype}")
    model = unwrapped(model)
    if getattr(model, "fused", False):
        raise ValueError("a fused network cannot be loaded again: save the network that it was made from")
    tensors = {
        key: (value.to(dtype) if dtype and value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.state_dict().items()
    }
    description = replace(describe(model), **changes)
    description.check_names()
    metadata = description.to_metadata()
    with whole_file(Path(path)) as partial:
        try:
            save_file(tensors, partial, metadata=metadata)
        except SafetensorError as error:
            raise OSError(errno.EIO, str(error)) from error


_CONVERTED = ", which cmsa convert makes of a released checkpoint"
_INSTEAD = {
    ".ckpt": ", such as the last.safetensors that a training leaves beside its checkpoint",
    ".pth": _CONVERTED,
    ".pt": _CONVERTED,
    **dict.fromkeys((".onnx", ".xml", ".pt2"), "; exported files are given to --exported, beside their weights"),
}
"""What else was given for weights, and what to do."""


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[Any, Description]]:
    """A weights file and its description; errors are those of ``read_weights``."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights file {path}")
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file, Description.from_metadata(file.metadata(), str(path))
    except SafetensorError as error:
        hint = _INSTEAD.get(Path(path).suffix, "")
        raise ValueError(f"{path}: not a safetensors file{hint} ({error})") from error


def read_description(path: Path | str) -> Description:
    """What a weights file says of itself, its tensors left unread. Errors are those of ``read_weights``."""
    with _opened(path) as (_, description):
        return description


def read_weights(path: Path | str) -> tuple[dict[str, Tensor], Description]:
    """Tensors and description of a weights file; prefixes of wrapped networks are left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a weights file of cmsa.
    """
    with _opened(path) as (file, description):
        return {_without_wrappers(key): file.get_tensor(key) for key in file.keys()}, description  # noqa: SIM118


def misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """The names of tensors of ``own`` that are missing, of those that it has not, and of those of another shape."""
    differing = [name for name in sorted(own.keys() & given.keys()) if own[name].shape != given[name].shape]
    return sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys()), differing


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load a state dict, every key accounted for.

    Raises:
        ValueError: keys are missing or unexpected, shapes differ, or values are not finite; of each the number and the
            first, with ``where``.
    """
    own = model.state_dict()
    missing, unexpected, differing = misfits(own, tensors)
    shapes = [f"{key} {tuple(tensors[key].shape)} for {tuple(own[key].shape)}" for key in differing]
    wild = [key for key in sorted(tensors) if tensors[key].is_floating_point() and not tensors[key].isfinite().all()]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": shapes, "not finite": wild}
    if any(faults.values()):
        told = "; ".join(f"{len(names)} {fault}: {first_of(names, _NAMED)}" for fault, names in faults.items() if names)
        raise ValueError(f"{where}: its tensors do not fit {type(model).__name__}, of {len(own)}: {told}")
    model.load_state_dict({key: value.to(own[key].dtype) for key, value in tensors.items()})


def initialise(model: nn.Module, path: Path | str) -> list[str]:
    """Start from a weights file; bias tables are resized, tensors that do not fit stay as they are.

    Returns:
        The names of the tensors that stayed.

    Raises:
        ValueError: nothing fits, or it is not a weights file.
        FileNotFoundError: there is no such file.
    """
    tensors, _ = read_weights(path)
    own = model.state_dict()
    # float16 weights are widened first: tables are resized in the network's own precision.
    known = {key: value.to(own[key].dtype) for key, value in tensors.items() if key in own}
    fit_bias_tables(model, known)
    fitting = {key: value for key, value in known.items() if own[key].shape == value.shape}
    if not any(value.is_floating_point() for value in fitting.values()):  # counts of batches fit anywhere
        raise ValueError(f"{path}: none of its tensors fits {type(model).__name__}")
    model.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())


def _without_wrappers(key: str) -> str:
    wrapping = _OF_WRAPPERS.match(key)
    return key[wrapping.end() :] if wrapping else key
