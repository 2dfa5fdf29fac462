"""Networks of others as files, ONNX or OpenVINO, timed beside ours: read once, counted, opened in each runtime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmsa.benchmark.engines import Engine
from cmsa.benchmark.measure import Work
from cmsa.guidance.extras import load
from cmsa.models.cost import Cost
from cmsa.runtime.sessions import Runtime, has_bf16, onnxruntime_session, openvino_model, shape_text

_SUFFIXES = (".onnx", ".xml")
_WEIGHTED = {
    "Convolution": ("output", 1),
    "GroupConvolution": ("output", 2),
    "ConvolutionBackpropData": ("input", 1),
    "GroupConvolutionBackpropData": ("input", 2),
}
"""OpenVINO's convolutions: for each number of which side, products with a weight's axes from which on."""


@dataclass(frozen=True)
class NetworkFile:
    """A network in a file.

    Attributes:
        path: ``.onnx`` or ``.xml``.
        size: (H, W) of its only input.
        layout: of the input, ``NCHW`` or ``NHWC``.
        batch: images that the file takes at a time; None for any number.
        type: of the input's numbers, as NumPy calls it.
        precision: ``int8`` if products of the file are quantised, else ``float32``.
        cost: of one image.
    """

    path: Path
    size: tuple[int, int]
    layout: str
    batch: int | None
    type: str
    precision: str
    cost: Cost

    @property
    def name(self) -> str:
        """As it stands in the table."""
        return self.path.stem

    def images(self, count: int) -> NDArray[Any]:
        """Noise as the file takes it: normalised numbers, or pixels where it takes integers."""
        shape = (count, 3, *self.size) if self.layout == "NCHW" else (count, *self.size, 3)
        noise = np.random.default_rng(0)
        if np.dtype(self.type).kind == "f":
            return noise.standard_normal(shape).astype(self.type)
        return noise.integers(0, 256, shape).astype(self.type)


def read_network(path: Path) -> NetworkFile:
    """Look into a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of another kind, cannot be read, or has not one input of RGB images of a fixed size; what it
            has is named.
        ModuleNotFoundError: OpenVINO, which reads it, is not installed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no network {path}")
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"{path}: a network's file ends in {' or '.join(_SUFFIXES)}")
    openvino = load("openvino", "reading networks' files")
    try:
        graph = openvino.Core().read_model(str(path))
    except RuntimeError as error:
        raise ValueError(f"{path}: OpenVINO cannot read it ({str(error).strip().splitlines()[-1]})") from error
    shapes = [_shape(entry) for entry in graph.inputs]
    told = "; ".join(map(shape_text, shapes))
    wanted = f"{path}: must have one input, RGB images (B, 3, H, W) or (B, H, W, 3) of a fixed size, it has {told}"
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(wanted)
    shape = shapes[0]
    layout = "NCHW" if shape[1] == 3 else "NHWC"
    height, width = shape[2:] if layout == "NCHW" else shape[1:3]
    if 3 not in (shape[1], shape[3]) or height is None or width is None:
        raise ValueError(wanted)
    if shape[0] is None:
        graph.reshape([1, *(side or 0 for side in shape[1:])])
    kind = str(np.dtype(graph.inputs[0].get_element_type().to_dtype()))
    return NetworkFile(
        path, (height, width), layout, shape[0], kind, _precision(graph), count_graph(graph, shape[0] or 1)
    )


def open_file(
    network: NetworkFile, runtimes: Sequence[Runtime], precisions: Sequence[str], batch: int, threads: int
) -> list[Engine]:
    """The runtimes that run the file, in its own precision, and in bf16 what of it is float32, if that is asked for."""
    engines = []
    images = network.images(batch)
    if "onnxruntime" in runtimes and network.path.suffix == ".onnx":
        one, many = (_onnxruntime(network, part, threads) for part in (images[:1], images))
        engines.append(Engine(network, "onnxruntime", network.precision, one, many))
    if "openvino" in runtimes:
        with_bf16 = "bf16" if network.precision == "float32" else "int8+bf16"
        asked = [network.precision, *([with_bf16] if with_bf16 in precisions and has_bf16() else [])]
        for precision in asked:
            one, many = (_openvino(network, part, precision, threads) for part in (images[:1], images))
            engines.append(Engine(network, "openvino", precision, one, many))
    return engines


def _onnxruntime(network: NetworkFile, images: NDArray[Any], threads: int) -> Work:
    session = onnxruntime_session(network.path, threads)
    name = session.get_inputs()[0].name
    parts = _parts(images, network.batch)
    return lambda: [session.run(None, {name: part}) for part in parts]


def _openvino(network: NetworkFile, images: NDArray[Any], precision: str, threads: int) -> Work:
    computed, settings = "bf16" if "bf16" in precision else "f32", {"NUM_STREAMS": 1}
    parts = [images]
    try:
        compiled = openvino_model(network.path, threads, computed, images.shape, settings)
    except RuntimeError:
        # The number of images is written into the graph.
        compiled = openvino_model(network.path, threads, computed, settings=settings)
        parts = _parts(images, network.batch)
    request = compiled.create_infer_request()
    return lambda: [request.infer([part]) for part in parts]


def _parts(images: NDArray[Any], count: int | None) -> list[NDArray[Any]]:
    """Images in parts of as many as a file takes; the last part is filled up."""
    if count is None:
        return [images]
    filled = np.concatenate([images, np.repeat(images[-1:], -len(images) % count, axis=0)])
    return [np.ascontiguousarray(part) for part in np.split(filled, len(filled) // count)]


def count_graph(graph: Any, batch: int) -> Cost:
    """Count the numbers that an ``openvino.Model`` of fixed shapes holds, and the multiply-adds for one image."""
    numbers, linear, attention = 0, 0, 0
    constant: set[str] = set()
    for node in graph.get_ordered_ops():
        kind, name = node.get_type_name(), node.get_friendly_name()
        sources = [node.input_value(place).get_node().get_friendly_name() for place in range(node.get_input_size())]
        if kind != "Parameter" and constant.issuperset(sources):
            # Weights, and what is computed of them alone.
            constant.add(name)
        if kind == "Constant" and node.get_output_element_type(0).is_real():
            numbers += math.prod(node.get_output_shape(0))
        elif kind in _WEIGHTED:
            side, axes = _WEIGHTED[kind]
            places = node.get_output_shape(0) if side == "output" else node.get_input_shape(0)
            linear += math.prod(places) * math.prod(list(node.get_input_shape(1))[axes:])
        elif kind == "MatMul":
            inner = node.get_input_shape(0)[-2 if node.get_attributes()["transpose_a"] else -1]
            products = math.prod(node.get_output_shape(0)) * int(inner)
            if constant.intersection(sources):
                linear += products
            else:
                attention += products
    return Cost(numbers, linear // batch, (linear + attention) // batch)


def _precision(graph: Any) -> str:
    quantised = any(
        node.get_type_name() == "FakeQuantize"
        or (node.get_type_name() == "Constant" and node.get_output_element_type(0).get_type_name() in ("i8", "u8"))
        for node in graph.get_ops()
    )
    return "int8" if quantised else "float32"


def _shape(entry: Any) -> tuple[int | None, ...]:
    shape = entry.get_partial_shape()
    if shape.rank.is_dynamic:
        return ()
    return tuple(None if side.is_dynamic else side.get_length() for side in shape)
