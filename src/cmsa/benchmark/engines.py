"""A candidate, ready to run in one runtime and precision, for one image and for a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cmsa.benchmark.measure import Work
from cmsa.benchmark.networks import Candidate
from cmsa.export.formats import INPUT_NAME, to_onnx, trace
from cmsa.export.quantize import quantize
from cmsa.runtime.sessions import Runtime, has_bf16, onnxruntime_session, openvino_model

CALIBRATION = 16


class Measured(Protocol):
    """What a row of the table says of a network: its name, and (H, W) of its input."""

    @property
    def name(self) -> str:
        """As it stands in the table."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of its input."""


@dataclass(frozen=True)
class Engine:
    """A network in a runtime.

    Attributes:
        network: which one.
        runtime, precision: how it runs.
        one, many: run it on one image and on a batch.
    """

    network: Measured
    runtime: str
    precision: str
    one: Work
    many: Work


def open_engines(
    candidate: Candidate,
    trained: nn.Module,
    runtimes: Sequence[Runtime],
    precisions: Sequence[str],
    batch: int,
    threads: int,
) -> list[Engine]:
    """The combinations of runtime and precision that there are on this machine."""
    network, images = candidate.prepare(trained), example_images(candidate, batch)
    engines = []
    if "torch" in runtimes and "float32" in precisions:
        run = _torch(network)
        engines.append(Engine(candidate, "torch", "float32", *_works(run, images)))
    if "onnxruntime" not in runtimes and "openvino" not in runtimes:
        return engines
    models = export_models(network, images, precisions)
    for runtime, precision in combinations(runtimes, precisions):
        open_runtime = _onnxruntime if runtime == "onnxruntime" else _openvino
        one = open_runtime(models[precision], images[:1], precision, threads)
        many = open_runtime(models[precision], images, precision, threads)
        engines.append(Engine(candidate, runtime, precision, one, many))
    return engines


def example_images(candidate: Candidate, count: int) -> Tensor:
    """Noise (count, 3, H, W) to run a candidate on."""
    return torch.randn(count, 3, *candidate.size, generator=torch.Generator().manual_seed(0))


def export_models(network: nn.Module, images: Tensor, precisions: Sequence[str]) -> dict[str, Any]:
    """A network as ``onnx.ModelProto`` by precision; those with bf16 are the same, computed otherwise."""
    plain = to_onnx(trace(network, images[:2]), ["output"])
    models = {"float32": plain, "bf16": plain}
    if {"int8", "int8+bf16"} & set(precisions):
        models["int8"] = models["int8+bf16"] = quantize(plain, INPUT_NAME, images[:CALIBRATION])
    return models


def combinations(runtimes: Sequence[Runtime], precisions: Sequence[str]) -> Iterator[tuple[Runtime, str]]:
    """Runtime and precision, as far as there are such here: bf16 is OpenVINO's, where the machine computes in it."""
    for precision in precisions:
        if "onnxruntime" in runtimes and "bf16" not in precision:
            yield "onnxruntime", precision
        if "openvino" in runtimes and ("bf16" not in precision or has_bf16()):
            yield "openvino", precision


def _works(run: Callable[[Tensor], object], images: Tensor) -> tuple[Work, Work]:
    return lambda: run(images[:1]), lambda: run(images)


def _torch(network: nn.Module) -> Callable[[Tensor], object]:
    network = network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(images: Tensor) -> object:
        return network(images)

    return run


def _onnxruntime(model: Any, images: Tensor, _: str, threads: int) -> Work:
    session = onnxruntime_session(model.SerializeToString(), threads)
    feed = {INPUT_NAME: images.numpy()}
    return lambda: session.run(None, feed)


def _openvino(model: Any, images: Tensor, precision: str, threads: int) -> Work:
    request = openvino_request(model, images, precision, threads)
    feed = [images.numpy()]
    return lambda: request.infer(feed)


def openvino_request(
    model: Any, images: Tensor, precision: str, threads: int, settings: Mapping[str, Any] | None = None
) -> Any:
    """An ``onnx.ModelProto`` in OpenVINO, ready for as many images; ``settings`` are further ones of OpenVINO's."""
    computed = "bf16" if "bf16" in precision else "f32"
    chosen = {"NUM_STREAMS": 1, **(settings or {})}
    return openvino_model(model.SerializeToString(), threads, computed, images.shape, chosen).create_infer_request()
