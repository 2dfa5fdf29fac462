"""Networks run by PyTorch, ONNX Runtime or OpenVINO, all alike: a tensor in, tensors out."""

from __future__ import annotations

import threading
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from cmsa.guidance.counts import count_of
from cmsa.guidance.errors import first_line
from cmsa.guidance.extras import load
from cmsa.runtime.forks import about_to_compute

Runtime = Literal["torch", "onnxruntime", "openvino"]
RUNTIMES_BY_SPEED: tuple[Runtime, ...] = ("openvino", "onnxruntime", "torch")
"""On CPUs, float32, see docs/performance.md."""
INPUT_TYPES = {"float16", "float32", "float64", "uint8", "uint16", "int16", "int32", "int64"}
"""Numbers that hold a pixel and that tensors of PyTorch and NumPy are both of."""
Precision = Literal["float32", "bf16"]
"""What products are computed in; weights and results are float32 either way."""


class RuntimeNetwork(ABC):
    """A network of another runtime, called like PyTorch's.

    ``network(images)`` gives the first output, ``network.run(images)`` all of them. Tensors are on the CPU. Several
    threads may call one network; what is computed for one never reaches another.

    Attributes:
        runtime: what computes it.
        path: of its file.
        inputs: names of its inputs; one, or ``open_exported`` refuses it.
        input_shape: of the only input, None for an axis of any length.
        input_type: one of ``INPUT_TYPES``.
        output_shape: of the first output, None for an axis of any length; empty where the file does not say it.
    """

    runtime: ClassVar[Runtime]
    path: Path
    inputs: list[str]
    input_shape: tuple[int | None, ...]
    input_type: str
    output_shape: tuple[int | None, ...] = ()

    def __call__(self, images: Tensor) -> Tensor:
        """The first output for images (B, ...); errors are those of ``run``."""
        return self.run(images)[0]

    def run(self, images: Tensor) -> list[Tensor]:
        """All outputs for images (B, ...), whatever number of them the file takes at a time.

        Raises:
            ValueError: the file cannot be computed, or does not answer each image; it is named.
        """
        count = self.input_shape[0]
        if count is None or count == len(images) or not len(images):
            return self._answer(images)
        filled = torch.cat([images, images[-1:].expand(-len(images) % count, *images.shape[1:])])
        parts = [self._answer(part) for part in torch.split(filled, count)]
        return [torch.cat(outputs)[: len(images)] for outputs in zip(*parts, strict=True)]

    def _answer(self, images: Tensor) -> list[Tensor]:
        about_to_compute(self.runtime)
        try:
            outputs = self._compute(images)
        except MemoryError:
            raise
        except Exception as error:  # each runtime has errors of its own for what a layer cannot do
            given = f"{self.input_type} {shape_text(images.shape)}"
            raise ValueError(f"{self.path}: cannot be computed for {given} ({first_line(error)})") from error
        if outputs[0].shape[:1] != images.shape[:1]:
            answered = f"{count_of(len(images), 'image')} with {shape_text(outputs[0].shape)}"
            raise ValueError(f"{self.path}: must answer each image of a batch, and answers {answered}")
        return outputs

    @abstractmethod
    def _compute(self, images: Tensor) -> list[Tensor]:
        """All outputs for as many images as the file takes."""


class TorchNetwork(RuntimeNetwork):
    """A ``.pt2`` file of ``torch.export``."""

    runtime = "torch"

    def __init__(self, path: Path) -> None:
        check_archive(path)
        program = torch.export.load(str(path))
        self.path, self.module = path, program.module()
        examples = {
            node.name: node.meta["val"]
            for node in program.graph.nodes
            if node.name in program.graph_signature.user_inputs
        }
        self.inputs, example = list(examples), next(iter(examples.values()))
        self.input_shape = _known_sides(example.shape)
        self.input_type = str(example.dtype).removeprefix("torch.")

    def _compute(self, images: Tensor) -> list[Tensor]:
        # Tensors made under inference_mode cannot enter every exported program.
        with torch.no_grad():
            outputs = self.module(images)
        return [outputs] if isinstance(outputs, Tensor) else list(outputs)


class OnnxRuntimeNetwork(RuntimeNetwork):
    """An ONNX file in ONNX Runtime, on the CPU.

    Args:
        path: the file.
        threads: for one image or batch; None leaves it to the runtime (all cores).
    """

    runtime = "onnxruntime"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.path, self.session = path, onnxruntime_session(path, threads)
        self.inputs = [entry.name for entry in self.session.get_inputs()]
        entry = self.session.get_inputs()[0]
        self.input_shape = _known_sides(entry.shape)
        kind = entry.type.removeprefix("tensor(").removesuffix(")")
        self.input_type = {"float": "float32", "double": "float64"}.get(kind, kind)
        self.output_shape = _known_sides(self.session.get_outputs()[0].shape or ())

    def _compute(self, images: Tensor) -> list[Tensor]:
        outputs = self.session.run(None, {self.inputs[0]: images.contiguous().numpy()})
        return [torch.from_numpy(output) for output in outputs]


class OpenVinoNetwork(RuntimeNetwork):
    """An OpenVINO model or an ONNX file in OpenVINO, on the CPU.

    Args:
        path: the ``.xml`` or ``.onnx`` file.
        threads: for one image or batch; None leaves it to the runtime (all cores).
        precision: in which to compute. OpenVINO's own choice would be bf16 where the machine has it, and results would
            differ from machine to machine.
    """

    runtime = "openvino"

    def __init__(self, path: Path, threads: int | None = None, precision: Precision = "float32") -> None:
        hint = "bf16" if precision == "bf16" else "f32"
        self.path = path
        self.compiled = openvino_model(path, threads, hint, settings={"PERFORMANCE_HINT": "LATENCY"})
        self.inputs = [entry.get_node().get_friendly_name() for entry in self.compiled.inputs]
        # A request holds the input and output of one call, so two threads must not share one.
        self.requests = threading.local()
        self.input_shape = _known_sides_of_openvino(self.compiled.input(0).get_partial_shape())
        self.output_shape = _known_sides_of_openvino(self.compiled.output(0).get_partial_shape())
        self.input_type = str(np.dtype(self.compiled.input(0).get_element_type().to_dtype()))

    def _compute(self, images: Tensor) -> list[Tensor]:
        if not hasattr(self.requests, "own"):
            self.requests.own = self.compiled.create_infer_request()
        self.requests.own.infer([images.contiguous().numpy()])
        # The runtime writes the next results into the same memory.
        return [torch.from_numpy(output.data.copy()) for output in self.requests.own.output_tensors]


def onnxruntime_session(source: Path | bytes, threads: int | None = None) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        source: an ONNX file, or its content.
        threads: for one image or batch; None leaves it to the runtime (all cores).
    """
    onnxruntime = load("onnxruntime", "the runtime onnxruntime")

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    content = source if isinstance(source, bytes) else str(source)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def openvino_model(
    source: Path | bytes,
    threads: int | None = None,
    precision: str = "f32",
    shape: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Any:
    """An ``openvino.CompiledModel`` on the CPU.

    Args:
        source: an ``.xml`` or ``.onnx`` file, or the content of the latter.
        threads: for one image or batch; None leaves it to the runtime (all cores).
        precision: in which to compute, ``f32`` or ``bf16``.
        shape: of the only input; None leaves it as it is.
        settings: further ones of OpenVINO's.
    """
    openvino = load("openvino", "the runtime openvino")

    core = openvino.Core()
    graph = core.read_model(source if isinstance(source, bytes) else str(source))
    if shape is not None:
        graph.reshape(list(shape))
    chosen: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, **(settings or {})}
    if threads is not None:
        chosen["INFERENCE_NUM_THREADS"] = threads
    return core.compile_model(graph, "CPU", chosen)


def _known_sides(shape: Iterable[object]) -> tuple[int | None, ...]:
    return tuple(side if isinstance(side, int) else None for side in shape)


def _known_sides_of_openvino(shape: Any) -> tuple[int | None, ...]:
    if shape.rank.is_dynamic:
        return ()
    return tuple(None if side.is_dynamic else side.get_length() for side in shape)


def shape_text(shape: Sequence[int | None]) -> str:
    """The shape of an input or output as messages say it, with a question mark for an axis of any length."""
    return f"({', '.join('?' if side is None else str(side) for side in shape)})"


def check_archive(path: Path) -> None:
    """Refuse what is no ``.pt2`` file: PyTorch's reader would log a traceback before it says so.

    Raises:
        ValueError: it is no archive.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError("not an archive of torch.export")


def check_precision(precision: str, runtime: Runtime) -> None:
    """Refuse a precision that a runtime does not compute in on this machine.

    Raises:
        ValueError: it does not; the message says what does.
    """
    if precision not in get_args(Precision):
        hint = ": a network is made int8 by cmsa export --int8, and such a file given instead" * (precision == "int8")
        raise ValueError(f"no precision {precision!r}; there are {', '.join(get_args(Precision))}{hint}")
    if precision == "bf16" and runtime == "onnxruntime":
        raise ValueError("onnxruntime does not compute in bf16 on CPUs: use the runtime openvino or torch")
    if precision == "bf16" and runtime == "openvino" and not has_bf16():
        raise ValueError("OpenVINO does not compute in bf16 on this machine, which has no such instructions")


def has_bf16() -> bool:
    """Whether OpenVINO computes in bf16 on this machine; elsewhere it would take float32 without a word."""
    openvino = load("openvino", "the runtime openvino")

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def open_exported(
    path: str | Path, threads: int | None = None, runtime: Runtime | None = None, precision: Precision = "float32"
) -> RuntimeNetwork:
    """An exported file, ready to run.

    Args:
        path: ``.onnx``, ``.xml`` or ``.pt2``.
        threads: for one image or batch; None leaves it to the runtime. PyTorch's are set for the whole process by
            ``torch.set_num_threads`` and not here.
        runtime: for an ``.onnx`` file, ``onnxruntime`` (default) or ``openvino``.
        precision: of OpenVINO, what a file in float32 is computed in.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of no known kind, or damaged, or takes something else than one tensor of numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no exported file {path}")
    if path.suffix not in {".onnx", ".xml", ".pt2"}:
        raise ValueError(f"{path}: an exported file ends in .onnx, .xml or .pt2")
    network: RuntimeNetwork
    try:
        if path.suffix == ".pt2":
            network = TorchNetwork(path)
        elif path.suffix == ".xml" or runtime == "openvino":
            network = OpenVinoNetwork(path, threads, precision)
        else:
            network = OnnxRuntimeNetwork(path, threads)
    except ImportError:
        raise
    except Exception as error:  # each runtime has errors of its own for a damaged file
        raise ValueError(f"{path}: cannot be opened, it may be damaged ({first_line(error)})") from error
    if len(network.inputs) != 1:
        raise ValueError(f"{path}: must have one input, it has {len(network.inputs)}: {', '.join(network.inputs)}")
    if network.input_type not in INPUT_TYPES:
        raise ValueError(f"{path}: takes {network.input_type}, and must take one of {', '.join(sorted(INPUT_TYPES))}")
    return network


def available_runtimes() -> list[Runtime]:
    """Those that are installed, the fastest on a CPU first."""
    return [name for name in RUNTIMES_BY_SPEED if find_spec(name) is not None]
