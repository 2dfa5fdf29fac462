"""Packages that this one can do without: what brings them, said in one way wherever one is missing."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

EXTRAS = {
    "export": ("onnx", "onnxscript", "onnxruntime", "openvino", "nncf"),
    "app": ("gradio",),
    "serve": ("fastapi", "uvicorn", "python_multipart", "prometheus_client"),
    "scale": ("ray",),
    "digits": ("sklearn",),
}
"""The modules that each extra of this package brings."""
OTHERS = {"supervision": "'supervision>=0.29'", "argcomplete": "argcomplete"}
"""Modules that no extra brings, and what to ask pip for."""
_RENAMED = {"PIL": "pillow"}
REQUIRED = {
    *("torch", "torchvision", "timm", "lightning", "jsonargparse", "faster_coco_eval", "cv2", "scipy", "pyarrow"),
    *("safetensors", "huggingface_hub", "rich", "matplotlib", "tensorboard", "yaml"),
}
"""Modules of what this package asks pip for. Where one is missing, it was installed by ``--no-deps`` for
``cmsa.edge``, and more are: pip brings all of them for a package that is there already. NumPy and Pillow, which
``cmsa.edge`` needs, are not among them: whoever lacks these does not want PyTorch."""


def pip_line(module: str) -> str:
    """What to type for a module that is missing: the extra that brings it, this package, or what pip calls it."""
    name = module.partition(".")[0]
    if name in REQUIRED:
        return "pip install cmsa"
    extra = next((extra for extra, modules in EXTRAS.items() if name in modules), "")
    return f"pip install 'cmsa[{extra}]'" if extra else f"pip install {(OTHERS | _RENAMED).get(name, name)}"


def missing(purpose: str, *modules: str, line: str = "") -> ModuleNotFoundError:
    """The error that says what needs what, and how it comes.

    Args:
        purpose: what cannot be done, e.g. ``int8``.
        modules: that are missing.
        line: instead of ``pip_line``, where less than an extra is enough.
    """
    told = f"{purpose} needs {', '.join(modules)}, not installed here: {line or pip_line(modules[0])}"
    return ModuleNotFoundError(told, name=modules[0])


def load(module: str, purpose: str, line: str = "") -> Any:
    """Import a module.

    Raises:
        ModuleNotFoundError: it is not installed; the message says what for it is needed, and the pip line.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or module).partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, and lacks something itself
        raise missing(purpose, module, line=line) from error


def require(extra: str, purpose: str) -> None:
    """Look whether all that an extra brings is installed, without importing it.

    Raises:
        ModuleNotFoundError: something is not; all of it is named.
    """
    lacking = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if lacking:
        raise missing(purpose, *lacking)
