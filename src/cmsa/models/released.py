"""Networks from and to checkpoints of the authors' release (CMSAFormer)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cmsa.models.attention import WindowAttention
from cmsa.models.attention_parts import TABLE_5
from cmsa.models.base import Size
from cmsa.models.description import Description
from cmsa.models.heads.heatmap import MixerFusion
from cmsa.models.network import CMSA
from cmsa.models.released_format import (
    BIASES,
    INDICES,
    STEM,
    STEM_AGAIN,
    UNUSED,
    ReleasedFormatError,
    State,
    number_offsets,
    read_released,
    released_configuration,
    released_name,
    tensor_of,
)
from cmsa.models.reparam import RepConv
from cmsa.models.variants import VARIANTS
from cmsa.models.weights import save_weights
from cmsa.models.windows import Window
from cmsa.structures import COCO


def load_released(source: Mapping[str, Any] | str | Path, input_size: Size | None = None) -> CMSA:
    """The network of a checkpoint in the authors' format, with its weights, float32, in eval mode.

    Args:
        source: a state dict, or the path of a ``.pth`` or ``.safetensors`` file; see ``read_released``.
        input_size: (H, W) to resize the bias tables to; by default the size that the network was trained at.

    Returns:
        A CMSA whose head is a ``MixerFusion``.

    Raises:
        ReleasedFormatError: keys are missing, unexpected or of a wrong shape, all listed; the index buffers fit no
            window; or the two copies of the stem differ.

    Examples:
        >>> import torch
        >>> from cmsa import create_model
        >>> from cmsa.models.released import to_released
        >>> torch.save(to_released(create_model("cmsa_s", "pose")), "released.pth")  # as the authors' checkpoints are
        >>> load_released("released.pth").input_size
        (32, 24)
    """
    state, where = read_released(source), "" if isinstance(source, Mapping) else f"{source}: "
    try:
        model = _build(state)
    except ReleasedFormatError as error:
        raise ReleasedFormatError(f"{where}{error}") from error
    except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
        # Shapes that no network has fail wherever the structure is read from them.
        raise ReleasedFormatError(f"{where}not a whole released network; its shapes fit none ({error})") from error
    if input_size is not None:
        model.set_input_size(input_size)
    return model.eval()


def convert_released(
    source: Mapping[str, Any] | str | Path, destination: str | Path, input_size: Size | None = None, **changes: Any
) -> None:
    """Write a checkpoint of the authors' format as a weights file, which ``load_weights`` reads.

    Args:
        source, input_size: as for ``load_released``.
        destination: the ``.safetensors`` file to write.
        changes: fields of the ``Description`` to set, e.g. ``decoding``: the checkpoint does not say them.

    Raises:
        ReleasedFormatError: as ``load_released``.
    """
    save_weights(destination, load_released(source, input_size), **changes)


def to_released(model: CMSA) -> State:
    """The model's state dict in the authors' format, index buffers and second stem included.

    Raises:
        ReleasedFormatError: the model is fused, has another head than ``MixerFusion``, lacks a part of the
            attention (Table 5), or pads its windows: the format has no place for such a network.
    """
    if not isinstance(model.head, MixerFusion) or model.attention != TABLE_5["cmsa"]:
        raise ReleasedFormatError(
            f"the released format holds full attention and MixerFusion, not {str(model.attention)!r} and "
            f"{type(model.head).__name__}"
        )
    if not isinstance(model.stem.embedding1.depthwise, RepConv):
        raise ReleasedFormatError("the released format holds train-time branches, and this model is fused")
    for window in (window for stage in model.stage_windows for window in stage):
        if any(side % part for side, part in zip(window.map_size, window.size, strict=True)):
            raise ReleasedFormatError(f"the released format holds no windows {window.size} on a map {window.map_size}")
    state = {}
    for key, value in model.state_dict().items():
        name = released_name(key)
        if name.endswith(BIASES):
            index = _window_of(model, key).relative_position_index()
            order = torch.tensor(list(dict.fromkeys(index.flatten().tolist())))
            state[name.removesuffix(BIASES) + INDICES] = order.argsort()[index]
            value = value.flatten(1)[:, order.to(value.device)]
        elif name.endswith((".q.weight", ".kv.weight")):
            value = value[:, :, None, None]
        state[name] = value
        if name.startswith(STEM):
            state[STEM_AGAIN + name.removeprefix(STEM)] = value
    return state | {UNUSED + name: value for name, value in nn.BatchNorm2d(model.dims[0]).state_dict().items()}


def _build(state: State) -> CMSA:
    configuration = released_configuration(state)
    model = CMSA(**configuration)
    model.head = MixerFusion(model.dims, tensor_of(state, "fgmm.csMixer.2.bn.weight").shape[0])
    _check_coverage(state, to_released(model))
    for key, value in model.state_dict().items():
        name = released_name(key)
        given = state[name]
        if name.endswith(BIASES):
            given = given[:, _numbering(_window_of(model, key), state[name.removesuffix(BIASES) + INDICES], name)]
        value.copy_(given.reshape(value.shape))
    model.description = _variant_of(model, configuration)
    return model


def _variant_of(model: CMSA, configuration: dict[str, Any]) -> Description:
    """The variant of this structure; or any, with the structure among the options."""
    options = {key: value for key, value in configuration.items() if key != "input_size"}
    structure = ("dims", "depths", "heads", "kv_strides")
    name = next(iter(VARIANTS))
    for variant, given in VARIANTS.items():
        if all(given[key] == options[key] for key in structure):
            name = variant
            options = {key: value for key, value in options.items() if key not in structure}
            break
    assert isinstance(model.head, MixerFusion)
    keypoints = model.head.score.conv.out_channels
    options |= {"fusion": "mixer", "num_keypoints": keypoints}
    return Description(name, "pose", model.input_size, options, names=COCO.names if keypoints == len(COCO) else ())


def _numbering(window: Window, indices: Tensor, name: str) -> Tensor:
    number = number_offsets(window, indices)
    if number is None:
        raise ReleasedFormatError(f"{name}: its index buffer does not fit the window {window.size} of the other blocks")
    return number


def _window_of(model: CMSA, key: str) -> Window:
    attention = model.get_submodule(key.removesuffix(".table"))
    assert isinstance(attention, WindowAttention)
    return attention.window


def _check_coverage(state: State, expected: State) -> None:
    """Every key there, none besides, all of the expected shape, and the stem's copies alike."""
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    faults = {
        "missing": [name for name in expected if name not in state],
        "unexpected": [name for name in state if name not in expected],
        "of another shape": shapes,
        "unlike its copy in the stem": [
            name
            for name in expected
            if name.startswith(STEM_AGAIN)
            and name in state
            and not torch.equal(state[name], state.get(STEM + name.removeprefix(STEM_AGAIN), state[name]))
        ],
    }
    listed = [f"{len(names)} {fault}: {', '.join(names)}" for fault, names in faults.items() if names]
    if listed:
        raise ReleasedFormatError("not a whole released network; keys " + "; ".join(listed))
