"""Vision on low-resolution crops with Cascaded Multi-Scale Attention.

The names below are the public interface. Each is imported when it is first asked for, so that ``import cmsa`` and the
help of the command line need not wait for PyTorch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cmsa.version import __version__ as __version__

if TYPE_CHECKING:
    from cmsa.inference.predictor import Predictor
    from cmsa.inference.stream import stream
    from cmsa.models.create import create_model, load_weights
    from cmsa.models.fuse import fuse
    from cmsa.models.network import CMSA
    from cmsa.models.weights import save_weights
    from cmsa.structures import Box, ClassScores, HeadPose, Keypoints
    from cmsa.visualization.draw import draw

__all__ = [
    "CMSA",
    "Box",
    "ClassScores",
    "HeadPose",
    "Keypoints",
    "Predictor",
    "create_model",
    "draw",
    "fuse",
    "load_weights",
    "save_weights",
    "stream",
]

_HOMES = {
    "CMSA": "cmsa.models.network",
    "Box": "cmsa.structures",
    "ClassScores": "cmsa.structures",
    "HeadPose": "cmsa.structures",
    "Keypoints": "cmsa.structures",
    "Predictor": "cmsa.inference.predictor",
    "create_model": "cmsa.models.create",
    "draw": "cmsa.visualization.draw",
    "fuse": "cmsa.models.fuse",
    "load_weights": "cmsa.models.create",
    "save_weights": "cmsa.models.weights",
    "stream": "cmsa.inference.stream",
}
"""The module of each public name; a test holds it to what type checkers and editors read above."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        extras = import_module("cmsa.guidance.extras")
        if (error.name or "").partition(".")[0] not in extras.REQUIRED:
            raise
        told = f"cmsa.{name} needs {error.name}, not installed here: pip install cmsa; exported files run without it"
        raise ModuleNotFoundError(f"{told}, by cmsa.edge", name=error.name) from error
    globals()[name] = value  # the next time Python finds it without asking here
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))


if sys.modules.get("timm"):  # None stands for one that must not be imported
    import_module("cmsa.models.registry")
