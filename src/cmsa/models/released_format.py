"""The format of the authors' released checkpoints (CMSAFormer): key names, and what a state dict says of its network.

The release numbers a bias table's offsets in the order in which they are first met and stores that numbering as a
buffer, ``attention_bias_idxs``. From it follow the window and the key stride, so a state dict is enough to rebuild
the network. Two oddities: the stem is stored twice (``stem`` and ``embedding_blocks.0``), and the BatchNorm
``fgmm.norm0`` is stored but unused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cmsa.guidance.counts import count_of
from cmsa.models.base import Size
from cmsa.models.network import default_window
from cmsa.models.windows import Window, ceil_divide

State = dict[str, Tensor]

RENAMES = (
    (r"^stages\.(\d+)\.(\d+)\.", r"stage_blocks.\1.trains_block\2."),
    (r"\.spatial_fusion\.(\d+)\.depthwise\.branch\.", r".spatial_fusion_modules.\1.dwconv_bn."),
    (r"\.spatial_fusion\.(\d+)\.pointwise\.", r".spatial_fusion_modules.\1.pwconv_bn."),
    (r"\.channel_fusion\.", ".channel_fusion_modules."),
    (r"\.groups\.(\d+)\.table$", r".attn_modules.\1.attention_biases"),
    (r"\.attention\.out\.", ".attention.linear."),
    (r"\.attention\.", ".attn."),
    (r"\.(depthwise|pointwise|position)\.conv\.", r".\1.rbr_conv.0."),
    (r"\.point\.", ".rbr_scale."),
    (r"\.identity\.", ".rbr_skip."),
    (r"\.depthwise\.", ".rep_dwconv."),
    (r"\.pointwise\.", ".rep_pwconv."),
    (r"\.position\.", ".pos_embed."),
    (r"^downsample\.0\.", "embedding_blocks.1."),
    (r"^downsample\.1\.", "embedding_blocks.2."),
    (r"^head\.enlarge\.0\.conv\.", "fgmm.convTrans1."),
    (r"^head\.enlarge\.1\.conv\.", "fgmm.convTrans2."),
    (r"^head\.enlarge\.0\.norm\.", "fgmm.norm1."),
    (r"^head\.enlarge\.1\.norm\.", "fgmm.norm2."),
    (r"^head\.mix\.", "fgmm.csMixer.0."),
    (r"^head\.score\.", "fgmm.csMixer.2."),
    (r"\.norm\.", ".bn."),
)
"""Our parameter names -> the release's, applied in this order."""
BIASES, INDICES = "attention_biases", "attention_bias_idxs"
STEM, STEM_AGAIN = "stem.", "embedding_blocks.0."
UNUSED = "fgmm.norm0."


class ReleasedFormatError(ValueError):
    """A state dict that is not a whole network of the authors' release."""


def read_released(source: Mapping[str, Any] | str | Path) -> State:
    """A released state dict without wrapping: from a file, from under "state_dict" or "model", prefixes stripped.

    ``module.`` and ``model.`` are stripped where they stand before the network's names. Beside names with such a
    prefix, a tensor whose name has no dot (a stored example, say) is no part of the network and is left out.

    Raises:
        ReleasedFormatError: a ``.pth`` file holds no state dict, or more than tensors and plain containers; or tensors
            are not dense, not real or not finite.
    """
    state: Mapping[str, Any]
    if isinstance(source, Mapping):
        state = source
    elif Path(source).suffix == ".safetensors":
        try:
            state = dict[str, Any](load_file(source))
        except (SafetensorError, IsADirectoryError) as error:
            raise ReleasedFormatError(f"{source}: not a safetensors file ({error})") from error
    else:
        with Path(source).open("rb") as file:
            state = _unpickled(file, source)
    if not isinstance(state, Mapping):
        raise ReleasedFormatError(f"{source}: holds a {type(state).__name__}, not a state dict")
    while wrapper := next((name for name in ("state_dict", "model") if isinstance(state.get(name), Mapping)), None):
        state = state[wrapper]
    for prefix in ("module.", "model.", "module."):
        if any(str(name).startswith(prefix) for name in state):
            state = {str(name).removeprefix(prefix): value for name, value in state.items() if "." in str(name)}
    strange = [name for name, value in state.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if strange:
        raise ReleasedFormatError(f"{_named(source)}holds {', '.join(map(repr, strange[:5]))}, which is no tensor")
    unusable = [name for name, value in state.items() if not _usable(value)]
    if unusable:
        told = f"{count_of(len(unusable), 'tensor')} of no finite real numbers: {', '.join(unusable[:5])}"
        raise ReleasedFormatError(f"{_named(source)}holds {told}")
    return dict(state)


def _usable(tensor: Tensor) -> bool:
    """Whether a tensor is of finite real numbers, each of which is stored."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
        return False
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _unpickled(file: BinaryIO, source: str | Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sparse tensors, which are refused by name
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind fails wherever PyTorch's reader happens to trip
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        if isinstance(error, UnpicklingError):
            # PyTorch wraps its reason in advice for whoever wrote the program.
            reason = str(error).partition("WeightsUnpickler error:")[2].strip().partition("\n")[0] or reason
            if "Unsupported global" in reason or "Unsupported class" in reason:
                raise ReleasedFormatError(
                    f"{source}: holds Python objects, which could run code when loaded, so it was not; save its "
                    f"state dict alone and load that ({reason})"
                ) from error
        raise ReleasedFormatError(f"{source}: not a checkpoint of PyTorch's, or damaged ({reason})") from error


def _named(source: Mapping[str, Any] | str | Path) -> str:
    return "the state dict " if isinstance(source, Mapping) else f"{source}: "


def released_name(key: str) -> str:
    """The release's name of one of our parameters or buffers."""
    for ours, theirs in RENAMES:
        key = re.sub(ours, theirs, key)
    return key


def released_configuration(state: State) -> dict[str, Any]:
    """``CMSA``'s arguments, read from a state dict that ``read_released`` returned.

    Windows are left to the default where they are the default for the input size, so that they follow a change of it.
    The input size follows from the first group's window, which spans the whole map.
    """
    dims: list[int] = []
    depths: list[int] = []
    heads: list[tuple[int, ...]] = []
    strides: list[tuple[int, ...]] = []
    windows: list[tuple[Size, ...]] = []
    for stage in range(_count(state, "stage_blocks.")):
        first = f"stage_blocks.{stage}.trains_block0."
        depths.append(_count(state, f"stage_blocks.{stage}.trains_block"))
        dims.append(tensor_of(state, first + "norm1.weight").shape[0])
        modules = [f"{first}attn.attn_modules.{group}." for group in range(_count(state, first + "attn.attn_modules."))]
        heads.append(tuple(tensor_of(state, name + BIASES).shape[0] for name in modules))
        found = [_find_window(tensor_of(state, name + INDICES), name + INDICES) for name in modules]
        strides.append(tuple(window.stride for window in found))
        windows.append(tuple(window.size for window in found))
    if not (dims and all(heads)):
        raise ReleasedFormatError(f"missing stage_blocks, which tell the network's structure, among {_some(state)}")
    attention = "stage_blocks.0.trains_block0.attn."
    key_dim = tensor_of(state, attention + "q.weight").shape[0] // sum(heads[0])
    kv_dim = tensor_of(state, attention + "kv.weight").shape[0] // sum(heads[0])
    # A depth-wise convolution has the branch without a convolution only where it keeps the size.
    stem_stride = 1 if any(name.startswith("stem.embedding2.rep_dwconv.rbr_skip.") for name in state) else 2
    size = windows[0][0]
    return {
        "dims": tuple(dims),
        "depths": tuple(depths),
        "heads": tuple(heads),
        "kv_strides": tuple(strides),
        "input_size": (size[0] * stem_stride, size[1] * stem_stride),
        "windows": None if windows == _default_windows(size, heads) else windows,
        "key_dim": key_dim,
        "value_ratio": kv_dim // key_dim - 1,
        "mlp_ratio": tensor_of(state, "stage_blocks.0.trains_block0.mlp.fc1.weight").shape[0] / dims[0],
        "in_chans": tensor_of(state, "stem.embedding1.rep_dwconv.rbr_conv.0.conv.weight").shape[0],
        "stem_stride": stem_stride,
    }


def _default_windows(size: Size, heads: list[tuple[int, ...]]) -> list[tuple[Size, ...]]:
    windows = []
    for stage, groups in enumerate(heads):
        windows.append(tuple(default_window(size, stage, group) for group in range(len(groups))))
        size = (ceil_divide(size[0], 2), ceil_divide(size[1], 2))
    return windows


def _find_window(indices: Tensor, name: str) -> Window:
    """The window whose offsets an index buffer (queries, keys) numbers."""
    queries, keys = indices.shape
    stride = max(1, isqrt(queries // keys))
    found = []
    for rows in range(stride, queries + 1, stride):
        size = (rows, queries // rows)
        if rows * size[1] == queries and size[1] % stride == 0 and keys * stride**2 == queries:
            window = Window(size, size, stride)
            if number_offsets(window, indices) is not None:
                found.append(window)
    if len(found) != 1:
        raise ReleasedFormatError(
            f"{name}: {queries} queries by {keys} keys fit {len(found)} windows, wanted one: "
            f"{[window.size for window in found]}"
        )
    return found[0]


def number_offsets(window: Window, indices: Tensor) -> Tensor | None:
    """(s·t,) the release's number of each offset, or None if ``indices`` do not number this window's offsets."""
    ours = window.relative_position_index()
    offsets = window.size[0] * window.size[1]
    if indices.shape != ours.shape:
        return None
    number = torch.full((offsets,), -1)
    number[ours] = indices.long()
    consistent = torch.equal(number[ours], indices.long()) and torch.equal(number.sort().values, torch.arange(offsets))
    return number if consistent else None


def _count(state: State, prefix: str) -> int:
    """How many different numbers follow ``prefix`` in the keys."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({match[1] for name in state if (match := pattern.match(name))})


def tensor_of(state: State, name: str) -> Tensor:
    """A tensor without which the configuration cannot be read.

    Raises:
        ReleasedFormatError: it is missing.
    """
    if name not in state:
        raise ReleasedFormatError(f"missing {name}, which tells the network's structure, among {_some(state)}")
    return state[name]


def _some(state: State) -> str:
    return f"{len(state)} keys: {', '.join(list(state)[:5])}, ..."
