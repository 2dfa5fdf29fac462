"""A model for pictures in the runtime of one's choice: exported once, kept in a cache, opened when first used."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import threading
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from cmsa.export.formats import read_constants
from cmsa.guidance.extras import missing
from cmsa.guidance.suggestion import no_such
from cmsa.models.base import BaseNetwork
from cmsa.models.description import Description
from cmsa.models.fuse import fuse
from cmsa.models.weights import describe
from cmsa.runtime.sessions import (
    Precision,
    Runtime,
    RuntimeNetwork,
    available_runtimes,
    check_precision,
    open_exported,
)
from cmsa.tasks.task import Network

logger = logging.getLogger(__name__)

SUFFIXES: dict[Runtime, str] = {"onnxruntime": ".onnx", "openvino": ".xml"}
TOLD_APART_BY = ("options", "names", "mean", "std", "decoding", "crop", "keypoints", "training")
"""What weights say of themselves besides model, task and size; two trainings never say the same of ``training``."""


def network_for(
    model: BaseNetwork,
    runtime: Runtime | None = None,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    precision: Precision = "float32",
) -> Network:
    """The network of a model: normalised images (B, 3, H, W) float32 on ``device`` -> the head's output.

    Args:
        model: of ``create_model`` or ``load_weights``.
        runtime: None takes the fastest that is installed on a CPU, PyTorch elsewhere.
        device: of PyTorch; the other runtimes are for the CPU.
        threads: for one image or batch, PyTorch's for the whole process; None leaves them as they are.
        precision: ``bf16`` computes products in bfloat16: PyTorch, and OpenVINO where the machine has instructions
            for it.

    Raises:
        ValueError: there is no such runtime, or it does not run on the device or in the precision.
        ModuleNotFoundError: the runtime is not installed (``pip install 'cmsa[export]'``).
    """
    device = torch.device(device)
    if runtime is None:
        runtime = available_runtimes()[0] if device.type == "cpu" else "torch"
    if runtime not in get_args(Runtime):
        raise ValueError(no_such("runtime", runtime, get_args(Runtime)))
    if runtime == "torch":
        check_precision(precision, runtime)
        if threads is not None:
            torch.set_num_threads(threads)
        network = fuse(model).to(device).to(memory_format=torch.channels_last)
        return Bf16Network(network) if precision == "bf16" else network
    if device.type != "cpu":
        raise ValueError(f"{runtime} runs on the CPU, not on {device}: use the runtime torch")
    if runtime not in available_runtimes():
        raise missing(f"the runtime {runtime}", runtime)
    check_precision(precision, runtime)
    return ConvertedNetwork(model, runtime, threads, precision)


def open_exported_of(
    path: str | Path, description: Description, threads: int | None = None, runtime: Runtime | None = None
) -> RuntimeNetwork:
    """A file that ``cmsa export`` made of a model, e.g. in int8, and that puts out what the model puts out.

    Args:
        path: ``.onnx``, ``.xml`` or ``.pt2``.
        description: the model's.
        threads: for one image or batch; None leaves it to the runtime.
        runtime: see ``open_exported``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of another model or of other weights of it, or normalises or decodes by itself; or what it
            says of itself is damaged.
    """
    entries = read_constants(Path(path))
    try:
        _refuse_another(path, entries, description)
    except (LookupError, TypeError) as error:
        raise ValueError(f"{path}: what it says of its model is damaged ({error!r}); export it again") from error
    return open_exported(path, threads, runtime)


def _refuse_another(path: str | Path, entries: dict[str, Any], description: Description) -> None:
    there, here = (
        f"{found['name']} for {found['task']} at {'x'.join(map(str, found['input_size']))}"
        for found in (entries["model"], asdict(description))
    )
    if there != here:
        raise ValueError(f"{path}: was exported from {there}, the weights are {here}")
    theirs, mine = entries["model"], asdict(description)
    # As JSON, which knows no tuples, and takes NaN for NaN.
    differing = [
        name for name in TOLD_APART_BY if name in theirs and json.dumps(theirs[name]) != json.dumps(mine[name])
    ]
    if differing:
        raise ValueError(f"{path}: was exported from other weights than these: their {', '.join(differing)} differ")
    if entries["decoded_in_graph"] or entries["input"]["normalised_in_graph"]:
        raise ValueError(f"{path}: was exported with --normalise or --decode; export it without them")


class Bf16Network(nn.Module):
    """PyTorch's network under autocast; what it puts out is float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """As the network's."""
        with torch.autocast(images.device.type, torch.bfloat16):
            output: Tensor = self.network(images)
        return output.float()


class ConvertedNetwork:
    """A model in another runtime, called like the model. The first call exports it, or finds it in the cache.

    The cache is the folder ``$CMSA_CACHE``, by default ``~/.cache/cmsa``. It may be deleted at any time.
    """

    def __init__(
        self, model: BaseNetwork, runtime: Runtime, threads: int | None = None, precision: Precision = "float32"
    ) -> None:
        # What the caller does to the model later is none of this network's business.
        self.model: BaseNetwork | None = copy.deepcopy(model).eval()
        self.runtime, self.threads, self.precision = runtime, threads, precision
        self.opened: RuntimeNetwork | None = None
        self.opening = threading.Lock()

    def __call__(self, images: Tensor) -> Tensor:
        """The head's output for normalised images (B, 3, H, W) float32."""
        if self.opened is None:
            with self.opening:
                if self.opened is None:
                    assert self.model is not None
                    self.opened, self.model = self._open(self.model), None
        return self.opened(images)

    def __getstate__(self) -> dict[str, Any]:
        # The process that receives it opens the network itself.
        if self.opened is not None:
            raise TypeError("a predictor that has run in another runtime cannot be sent: make a new one there")
        return {name: value for name, value in vars(self).items() if name != "opening"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, opening=threading.Lock())

    def _open(self, model: BaseNetwork) -> RuntimeNetwork:
        path = cached_file(model, self.runtime)
        if path.is_file():
            try:
                return open_exported(path, self.threads, precision=self.precision)
            except ValueError:
                logger.warning("%s: is damaged, and made anew", path)
        from cmsa.export import export

        # Exporting records operations, which does not go together with the caller's inference mode.
        with torch.inference_mode(False):
            export(model, path)
        return open_exported(path, self.threads, precision=self.precision)


def fastest_at_hand(model: BaseNetwork) -> Runtime:
    """The fastest runtime on a CPU that needs no export first: a converted file is in the cache, or PyTorch."""
    converted = [name for name in available_runtimes() if name in SUFFIXES and cached_file(model, name).is_file()]
    return converted[0] if converted else "torch"


def cached_file(model: BaseNetwork, runtime: Runtime) -> Path:
    """Where a model's file for another runtime is kept, whether or not it is there."""
    return cache_folder() / f"{fingerprint(model)}{SUFFIXES[runtime]}"


def cache_folder() -> Path:
    """Where converted models are kept."""
    return Path(os.environ.get("CMSA_CACHE", Path.home() / ".cache" / "cmsa"))


def fingerprint(model: BaseNetwork) -> str:
    """Name of a model's content: weights, description, and the versions that decide what is made of them."""
    content = hashlib.sha256(repr((version("cmsa"), torch.__version__, describe(model))).encode())
    state: dict[str, Any] = model.state_dict()
    for name, value in state.items():
        content.update(name.encode())
        content.update(value.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:24]
