"""Weights by the names that people know them by: shipped, a file, a folder, a model on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cmsa.guidance.shipped import DEFAULT_WEIGHTS, shipped_names, shipped_weights
from cmsa.guidance.suggestion import there_are
from cmsa.models.weights import read_description

Size = tuple[int, int]

WEIGHTS_FILE = "model.safetensors"
"""The file in a folder or a hub repository (``PyTorchModelHubMixin``'s name)."""

OF_RUNS = "best.safetensors"
"""What ``cmsa train`` leaves."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def weights_name(name: str, task: str, input_size: Size) -> str:
    """MODEL_TASK_SIZE, e.g. ``cmsa_s_pose_32x24``; fit for a file's name."""
    return f"{name.replace('/', '_')}_{task}_{input_size[0]}x{input_size[1]}"


def default_weights(task: str) -> str:
    """Name of the weights to use for a task: the default ones, else the largest that were shipped for it.

    Raises:
        ValueError: none were.
    """
    shipped = shipped_names()
    if DEFAULT_WEIGHTS.get(task) in shipped:
        return DEFAULT_WEIGHTS[task]
    of_task = [name for name in shipped if read_description(shipped_weights(name)).task == task]
    if not of_task:
        raise ValueError(
            f"no weights for {task} came with cmsa (there are {', '.join(shipped) or 'none'}): give a weights file"
        )
    return max(of_task, key=lambda name: shipped_weights(name).stat().st_size)


def find_weights(name: str | Path, **download: Any) -> Path:
    """The weights file that ``name`` stands for.

    Args:
        name: in this order: a shipped name (``cmsa_s_pose_32x24``), a file, a folder that holds
            ``model.safetensors``, or the id of a model on the Hugging Face hub (``owner/name``), which is downloaded.
        download: arguments of ``huggingface_hub.hf_hub_download``, e.g. ``revision``.

    Raises:
        FileNotFoundError: it is none of these, or the hub does not give it.
    """
    if str(name) in shipped_names():
        return shipped_weights(str(name))
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        if not (path / WEIGHTS_FILE).is_file():
            run = f"; it is a run's, name {path / OF_RUNS}" if (path / OF_RUNS).is_file() else ""
            raise FileNotFoundError(f"{path}: the folder holds no {WEIGHTS_FILE}{run}")
        return path / WEIGHTS_FILE
    text = str(name)
    if _HUB_ID.fullmatch(text) and path.suffix != ".safetensors":
        return _download(text, **download)
    raise FileNotFoundError(
        f"no weights {text!r}: neither a file, a folder nor a hub id (owner/name), and not among those that came "
        f"with cmsa; {there_are(text, shipped_names(), 'cmsa models')}"
    )


def _download(hub_id: str, **options: Any) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(hub_id, WEIGHTS_FILE, **options))
    except Exception as error:  # the hub's client, and the network below it, raise many kinds
        raise FileNotFoundError(
            f"no weights {hub_id!r}: there is no such file or folder, and the Hugging Face hub gave no "
            f"{WEIGHTS_FILE} of it ({error})"
        ) from error
