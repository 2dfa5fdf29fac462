"""Models by name: ``create_model``, and weights files that rebuild the model they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cmsa.models.attention_parts import check_strides
from cmsa.models.description import Description
from cmsa.models.heads.table import head_of
from cmsa.models.hub import HubModel
from cmsa.models.network import CMSA, Size
from cmsa.models.registry import VARIANTS

SHIPPED = Path(__file__).parents[1] / "weights"


def create_model(
    name: str, task: str = "classification", input_size: Size | None = None, pretrained: bool = False, **options: Any
) -> CMSA:
    """A CMSA network with the head of a task.

    Args:
        name: ``cmsa_n``, ``cmsa_s``, ``cmsa_b`` or ``cmsa_l``.
        task: pose gives heatmaps (B, num_keypoints, H_1, W_1), or what ``head`` puts out; so does head_pose;
            classification logits (B, num_classes); others what their entry in ``HEADS`` says.
        input_size: (H, W); by default 32x24 for pose and 32x32 otherwise.
        pretrained: load the shipped weights of this name, task and size.
        options: of the head: for pose ``fusion``, ``mixer`` (default; the authors' release) or ``linear`` (the paper's
            parameter counts), ``num_keypoints`` (17), and ``head``, ``heatmap`` (default) or ``simcc`` with ``split``
            bins per pixel (2); for head pose ``head``, ``ssr`` (default), ``bins`` or
            ``rotation_6d``; for classification ``num_classes`` (100). All others are arguments of :class:`CMSA`.

    Raises:
        ValueError: there is no such name, task, fusion or head, or no weights of these were shipped.
    """
    if name not in VARIANTS:
        raise ValueError(f"no model {name!r}; there are {', '.join(VARIANTS)}")
    check_strides(options)
    entry = head_of(task)
    of_head = {key: options.pop(key, default) for key, default in entry.options.items()}
    of_head = {key: value for key, value in of_head.items() if value is not None}
    description = Description(name, task, input_size or entry.input_size, options | of_head)
    if pretrained:
        path = shipped_weights(weights_name(name, task, description.input_size))
        model = load_weights(path)
        if model.description.options != description.options:
            raise ValueError(
                f"{path.name} was trained with {model.description.options}, not with {description.options}"
            )
        return model
    model = CMSA(input_size=description.input_size, **VARIANTS[name] | options)
    model.head = entry.build(model.map_shapes, **of_head)
    model.num_classes = of_head.get("num_classes", 0)
    model.description = description
    return model


def weights_name(name: str, task: str, input_size: Size) -> str:
    """VARIANT_TASK_SIZE, e.g. ``cmsa_s_pose_32x24``."""
    return f"{name}_{task}_{input_size[0]}x{input_size[1]}"


def shipped_names() -> list[str]:
    """Names of the weights that came with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def shipped_weights(name: str) -> Path:
    """Path of weights that came with the package.

    Raises:
        ValueError: there are none of this name.
    """
    path = SHIPPED / f"{name}.safetensors"
    if not path.is_file():
        raise ValueError(f"no weights {name!r} came with cmsa; there are {', '.join(shipped_names()) or 'none'}")
    return path


def save_weights(path: Path | str, model: CMSA, dtype: torch.dtype | None = None, **changes: Any) -> None:
    """Write a model's tensors and description as safetensors.

    Args:
        path: file to write; it appears whole or not at all.
        model: what to write.
        dtype: of floating-point tensors, e.g. ``torch.float16`` for shipping; as they are by default.
        changes: fields of the description to replace, e.g. ``training=...``.
    """
    path = Path(path)
    tensors = {
        key: (value.to(dtype) if dtype and value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.state_dict().items()
    }
    description = replace(model.description, input_size=model.input_size, **changes)
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata=description.to_metadata())
    partial.replace(path)


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[Any, Description]]:
    """A weights file and its description; errors are those of :func:`read_weights`."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights file {path}")
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file, Description.from_metadata(file.metadata(), str(path))
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error


def read_description(path: Path | str) -> Description:
    """What a weights file says of itself, its tensors left unread. Errors are those of :func:`read_weights`."""
    with _opened(path) as (_, description):
        return description


def read_weights(path: Path | str) -> tuple[dict[str, Tensor], Description]:
    """Tensors and description of a weights file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a weights file of cmsa.
    """
    with _opened(path) as (file, description):
        return {key: file.get_tensor(key) for key in file.keys()}, description  # noqa: SIM118


def load_weights(path: Path | str, input_size: Size | None = None) -> CMSA:
    """Rebuild a model from its weights file, in float32 and eval mode.

    Args:
        path: a file of :func:`save_weights`.
        input_size: another (H, W) than the file's: bias tables are resized.

    Raises:
        ValueError: keys or shapes do not fit what the description promises; they are listed.
    """
    tensors, description = read_weights(path)
    model = create_model(description.name, description.task, description.input_size, **description.options)
    load_tensors(model, tensors, str(path))
    model.description = description
    if input_size is not None:
        model.set_input_size(input_size)
    return model.eval()


def load_tensors(model: CMSA, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load a state dict, every key accounted for.

    Raises:
        ValueError: keys are missing or unexpected, or shapes differ; all are listed, with ``where``.
    """
    own = model.state_dict()
    missing, unexpected = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    differing = [
        f"{key}: expected {tuple(own[key].shape)}, got {tuple(tensors[key].shape)}"
        for key in sorted(own.keys() & tensors.keys())
        if own[key].shape != tensors[key].shape
    ]
    if missing or unexpected or differing:
        lines = [f"missing {key}" for key in missing] + [f"unexpected {key}" for key in unexpected] + differing
        raise ValueError(f"{where}: does not fit the model\n  " + "\n  ".join(lines))
    model.load_state_dict({key: value.to(own[key].dtype) for key, value in tensors.items()})


HubModel.load_file = staticmethod(load_weights)
HubModel.save_file = staticmethod(save_weights)
