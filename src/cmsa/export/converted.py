"""A model for pictures in the runtime of one's choice: exported once, kept in a cache, opened when first used."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from cmsa.models.base import BaseNetwork
from cmsa.models.fuse import fuse
from cmsa.models.weights import describe
from cmsa.runtime.sessions import Runtime, RuntimeNetwork, available_runtimes, open_exported
from cmsa.tasks.task import Network

logger = logging.getLogger(__name__)

SUFFIXES: dict[Runtime, str] = {"onnxruntime": ".onnx", "openvino": ".xml"}


def network_for(
    model: BaseNetwork, runtime: Runtime | None = None, device: str | torch.device = "cpu", threads: int | None = None
) -> Network:
    """The network of a model: normalised images (B, 3, H, W) float32 on ``device`` -> the head's output.

    Args:
        model: of ``create_model`` or ``load_weights``.
        runtime: None takes the fastest that is installed on a CPU, PyTorch elsewhere.
        device: of PyTorch; the other runtimes are for the CPU.
        threads: for one image or batch, PyTorch's for the whole process; None leaves them as they are.

    Raises:
        ValueError: there is no such runtime, or it does not run on the device.
        ModuleNotFoundError: the runtime is not installed (``pip install 'cmsa[export]'``).
    """
    device = torch.device(device)
    if runtime is None:
        runtime = available_runtimes()[0] if device.type == "cpu" else "torch"
    if runtime not in get_args(Runtime):
        raise ValueError(f"no runtime {runtime!r}; there are {', '.join(get_args(Runtime))}")
    if runtime == "torch":
        if threads is not None:
            torch.set_num_threads(threads)
        return fuse(model).to(device).to(memory_format=torch.channels_last)
    if device.type != "cpu":
        raise ValueError(f"{runtime} runs on the CPU, not on {device}: use the runtime torch")
    if runtime not in available_runtimes():
        raise ModuleNotFoundError(f"{runtime} is not installed: pip install 'cmsa[export]'")
    return ConvertedNetwork(model, runtime, threads)


class ConvertedNetwork:
    """A model in another runtime, called like the model. The first call exports it, or finds it in the cache.

    The cache is the folder ``$CMSA_CACHE``, by default ``~/.cache/cmsa``. It may be deleted at any time.
    """

    def __init__(self, model: BaseNetwork, runtime: Runtime, threads: int | None = None) -> None:
        # What the caller does to the model later is none of this network's business.
        self.model: BaseNetwork | None = copy.deepcopy(model).eval()
        self.runtime, self.threads = runtime, threads
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
                return open_exported(path, self.threads)
            except ValueError:
                logger.warning("%s: is damaged, and made anew", path)
        from cmsa.export import export

        # Exporting records operations, which does not go together with the caller's inference mode.
        with torch.inference_mode(False):
            export(model, path)
        return open_exported(path, self.threads)


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
