"""A graph written as an ONNX file, an OpenVINO model or a PyTorch program, and what each says of itself."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cmsa.edge.constants import KEY, from_text
from cmsa.export.metadata import to_text
from cmsa.guidance.errors import first_line
from cmsa.guidance.extras import load
from cmsa.runtime.sessions import check_archive

Format = Literal["onnx", "openvino", "torch"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
OPSET = 18
INPUT_NAME = "images"
BATCH = "batch"
"""Name of the axis of images, where it may have any length."""


def trace(module: nn.Module, example: Tensor, dynamic: bool = True) -> torch.export.ExportedProgram:
    """A module as a program.

    Args:
        module: in eval mode.
        example: input (B, ...) with B > 1 where any number of images shall go.
        dynamic: whether any number of images goes; else as many as the example has.
    """
    shapes = ({0: torch.export.Dim("batch", min=1)},) if dynamic else None
    with torch.no_grad(), _quiet():
        return torch.export.export(module, (example,), dynamic_shapes=shapes)


def to_onnx(program: torch.export.ExportedProgram, outputs: Sequence[str]) -> Any:
    """The program as an ``onnx.ModelProto`` whose input is called ``images`` and whose outputs ``outputs``."""
    with torch.no_grad(), _quiet():
        exported = torch.onnx.export(
            program,
            input_names=[INPUT_NAME],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            custom_translation_table=_translations(),
        )
    assert exported is not None
    model = exported.model_proto
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        # The exporter's notes hold stack traces with paths of this machine.
        del part.metadata_props[:]
        part.ClearField("doc_string")
    _name_batch(model.graph)
    return model


def _name_batch(graph: Any) -> None:
    """The exporter numbers axes of any length; the only one is the number of images."""
    numbered = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    if not numbered:
        return
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = re.sub(rf"\b{re.escape(numbered)}\b", BATCH, axis.dim_param)


def to_openvino(model: Any) -> Any:
    """An ``onnx.ModelProto`` as an ``openvino.Model``."""
    openvino = load("openvino", "a file for OpenVINO")

    return openvino.Core().read_model(model.SerializeToString())


def _translations() -> dict[Any, Any]:
    """Operators that the exporter lacks."""
    onnxscript = load("onnxscript", "a file for ONNX")

    op: Any = onnxscript.opset18

    def cumulative_product(x: Any, dim: int, dtype: int | None = None) -> Any:
        # The only product in our graphs, that of the widths of soft stage-wise regression, is of positive numbers.
        return op.Exp(op.CumSum(op.Log(x), op.Constant(value_int=dim)))

    def hypotenuse(x: Any, y: Any) -> Any:
        return op.Sqrt(op.Add(op.Mul(x, x), op.Mul(y, y)))

    return {torch.ops.aten.cumprod.default: cumulative_product, torch.ops.aten.hypot.default: hypotenuse}


def save(converted: Any, format: Format, path: Path, entries: dict[str, Any]) -> None:
    """Write what was converted or quantised, with what the file says of itself.

    Args:
        converted: as its format has it.
        format: of the file.
        path: an ONNX file holds its weights; OpenVINO's are in a ``.bin`` beside the ``.xml``.
        entries: see ``cmsa.export.metadata``.
    """
    text = to_text(entries)
    if format == "onnx":
        onnx = load("onnx", "a file for ONNX")

        converted.metadata_props.add(key=KEY, value=text)
        onnx.save_model(converted, str(path))
    elif format == "openvino":
        openvino = load("openvino", "a file for OpenVINO")

        converted.set_rt_info(text, [KEY])
        openvino.save_model(converted, str(path), compress_to_fp16=False)
    else:
        # PyTorch's own writer of files ends the process where a disk is full.
        archive = io.BytesIO()
        torch.export.save(converted, archive, extra_files={KEY: text})
        path.write_bytes(archive.getvalue())


def read_constants(path: Path) -> dict[str, Any]:
    """What an exported file says of itself, see ``cmsa.export.metadata``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a file of ``cmsa export``, or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no exported file {path}")
    if path.suffix not in SUFFIXES.values():
        raise ValueError(f"{path}: an exported file ends in one of {', '.join(SUFFIXES.values())}")
    try:
        text = _read_text(path)
    except ImportError:
        raise
    except Exception as error:  # each format's reader has errors of its own for a damaged file
        raise ValueError(f"{path}: cannot be read, it may be damaged ({first_line(error)})") from error
    return from_text(text, str(path))


def _read_text(path: Path) -> str | None:
    if path.suffix == SUFFIXES["onnx"]:
        onnx = load("onnx", "a file for ONNX")

        model = onnx.load(str(path), load_external_data=False)
        return {entry.key: entry.value for entry in model.metadata_props}.get(KEY)
    if path.suffix == SUFFIXES["openvino"]:
        openvino = load("openvino", "a file for OpenVINO")

        info = openvino.Core().read_model(str(path))
        return str(info.get_rt_info([KEY]).value) if info.has_rt_info([KEY]) else None
    check_archive(path)
    extra = {KEY: ""}
    torch.export.load(str(path), extra_files=extra)
    return extra[KEY]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of its steps and of deprecations in itself; errors are raised all the same."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
