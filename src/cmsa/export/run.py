"""Export: fuse, trace, write, run the written file, compare, and only then put it in its place."""

from __future__ import annotations

import copy
import errno
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from cmsa.export.compare import Difference, ExportError, compare, network_input, random_pixels
from cmsa.export.formats import INPUT_NAME, SUFFIXES, Format, save, to_onnx, to_openvino, trace
from cmsa.export.graph import ExportedGraph
from cmsa.export.metadata import constants
from cmsa.export.quantize import check_calibration, quantize
from cmsa.guidance.errors import first_line
from cmsa.guidance.suggestion import no_such
from cmsa.models.base import BaseNetwork
from cmsa.runtime.sessions import open_exported


@dataclass(frozen=True)
class Exported:
    """A written file, and how far it is from PyTorch."""

    path: Path
    difference: Difference


@dataclass(frozen=True)
class ExportOptions:
    """What an exported file takes, puts out, and how it computes.

    Attributes:
        batch: images that the graph takes; any number by default.
        normalise: take RGB uint8 (B, H, W, 3) and normalise in the graph.
        decode: put out keypoints and scores, angles, or probabilities.
        calibration: crops (N, H, W, 3) uint8 of the training data; with them the file computes in int8.
        keep: with int8, regular expressions of nodes that stay in float32.
        pixels: crops (N, H, W, 3) uint8 to compare on, others than those of the calibration; some made up ones by
            default.
        tolerance: factor on how far the file may be from PyTorch, see ``cmsa.export.compare``.
    """

    batch: int | None = None
    normalise: bool = False
    decode: bool = False
    calibration: Tensor | None = None
    keep: tuple[str, ...] = ()
    pixels: Tensor | None = None
    tolerance: float = 1.0


def export(
    model: BaseNetwork, path: str | Path, format: Format | None = None, options: ExportOptions | None = None
) -> Exported:
    """Write a model for another runtime.

    Args:
        model: of ``create_model`` or ``load_weights``.
        path: file to write, ``.onnx`` (one file), ``.xml`` (OpenVINO, with a ``.bin`` beside it) or ``.pt2``.
        format: ``onnx``, ``openvino`` or ``torch``; by default what the path ends in.
        options: what the file takes and puts out; the network's own input and output by default.

    Raises:
        ExportError: the file computes something else than the model; nothing is written.
        OSError: the file cannot be written; one that was there before stays.
        ValueError: the path ends in no known format, int8 is asked of ``torch``, or the calibration crops show nothing.
        ModuleNotFoundError: the format needs a package that is not installed (``pip install 'cmsa[export]'``).

    Examples:
        >>> from cmsa import create_model
        >>> from cmsa.export.run import ExportOptions
        >>> model = create_model("cmsa_n", "pose", depths=(1, 1, 1))
        >>> exported = export(model, "tiny.onnx", options=ExportOptions(normalise=True, decode=True))
        >>> exported.path.name, exported.difference.decoded < 0.05
        ('tiny.onnx', True)
    """
    return export_formats(model, {_format_of(Path(path), format): Path(path)}, options)[0]


def export_formats(
    model: BaseNetwork, paths: Mapping[Format, Path], options: ExportOptions | None = None
) -> list[Exported]:
    """As ``export``, several formats of one model; the graph is traced once."""
    options = options or ExportOptions()
    # Files are traced and compared on the CPU, wherever the model is.
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        model = copy.deepcopy(model).cpu()
    if options.calibration is not None and "torch" in paths:
        raise ValueError("int8 is for onnx and openvino, not for torch")
    graph = ExportedGraph(model, normalise=options.normalise, decode=options.decode)
    # A batch of one would be taken for a constant.
    program = trace(graph.eval(), graph.example(options.batch or 2), dynamic=options.batch is None)
    written = []
    entries = constants(model, graph, options.batch, "float32" if options.calibration is None else "int8")
    onnx_model = None if set(paths) == {"torch"} else to_onnx(program, graph.output_names)
    if options.calibration is not None:
        check_calibration(options.calibration)
        images = _graph_input(model, graph, options.calibration)
        onnx_model = quantize(onnx_model, INPUT_NAME, images, options.keep)
    for format, path in paths.items():
        converted = program if format == "torch" else onnx_model if format == "onnx" else to_openvino(onnx_model)
        path.parent.mkdir(parents=True, exist_ok=True)
        # On the same file system, so that each move at the end is one step.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            partial = Path(folder) / path.name
            try:
                save(converted, format, partial, entries)
            except (OSError, RuntimeError) as error:  # each format has its own word for a full disk
                raise OSError(errno.EIO, f"cannot be written ({first_line(error)})", str(path)) from error
            difference = _difference(model, graph, partial, options)
            try:
                difference.check(options.tolerance, options.calibration is not None)
            except ExportError as error:
                raise ExportError(f"{path} was not written: {error}") from error
            # The weights before the graph that names them.
            for file in sorted(Path(folder).iterdir()):
                file.replace(path.parent / file.name)
        written.append(Exported(path, difference))
    return written


def _difference(model: BaseNetwork, graph: ExportedGraph, path: Path, options: ExportOptions) -> Difference:
    pixels = random_pixels(model) if options.pixels is None else options.pixels
    with torch.no_grad():
        # One thread: the order of sums, and so the difference, is the same each time.
        outputs = open_exported(path, threads=1).run(_graph_input(model, graph, pixels))
    return compare(model, pixels, outputs, graph.decodes)


def _graph_input(model: BaseNetwork, graph: ExportedGraph, pixels: Tensor) -> Tensor:
    """Crops (B, H, W, 3) uint8 as the graph takes them."""
    return pixels if graph.takes_pixels else network_input(model, pixels)


def _format_of(path: Path, format: Format | None) -> Format:
    by_suffix = {ending: name for name, ending in SUFFIXES.items()}
    if format is None:
        if path.suffix not in by_suffix:
            raise ValueError(f"{path}: must end in one of {', '.join(by_suffix)}, or a format must be given")
        return by_suffix[path.suffix]
    if format not in get_args(Format):
        raise ValueError(no_such("format", format, get_args(Format)))
    if path.suffix != SUFFIXES[format]:
        raise ValueError(f"{path}: a file of the format {format} ends in {SUFFIXES[format]}")
    return format
