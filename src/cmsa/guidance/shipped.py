"""The weights that came with the package, by what the head of each file and its card say: without PyTorch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmsa.files.read_json import parse_json
from cmsa.guidance.suggestion import there_are

SHIPPED = Path(__file__).parents[1] / "weights"

DEFAULT_WEIGHTS: dict[str, str] = {
    "pose": "cmsa_n_pose_32x24",
    "head_pose": "cmsa_n_head_pose_32x32",
    "classification": "cmsa_n_classification_32x32",
}
"""What is taken for a task where no weights are named."""

DESCRIPTION = "cmsa"
"""The entry of a safetensors file's metadata that holds what it says of itself; see ``cmsa.models.description``."""

_SCORE = re.compile(r"^\*\*Score\.\*\* (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class ShippedWeights:
    """What is told of weights before they are opened.

    Attributes:
        name: to be asked for by.
        task: e.g. ``head_pose``.
        input_size: (H, W) of the crops.
        megabytes: of the file.
        score: one of the card's, in words.
        is_default: whether its task takes it where no weights are named.
    """

    name: str
    task: str
    input_size: tuple[int, int]
    megabytes: float
    score: str
    is_default: bool


def shipped_names() -> list[str]:
    """Names of the weights that came with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def shipped_weights(name: str) -> Path:
    """Path of weights that came with the package.

    Raises:
        ValueError: there are none of this name.
    """
    path = SHIPPED / f"{name}.safetensors"
    if not path.is_file():
        raise ValueError(f"no weights {name!r} came with cmsa; {there_are(name, shipped_names(), 'cmsa models')}")
    return path


def shipped_card(name: str) -> str:
    """The model card of weights that came with the package, Markdown.

    Raises:
        ValueError: there are no such weights.
        FileNotFoundError: they have no card.
    """
    return shipped_weights(name).with_suffix(".md").read_text(encoding="utf-8")


def list_shipped() -> list[ShippedWeights]:
    """All weights that came with the package; of each task the default first, then by name.

    Examples:
        >>> [weights.name for weights in list_shipped() if weights.task == "classification"]
        ['cmsa_n_classification_32x32']
    """
    listed = [_told(name) for name in shipped_names()]
    tasks = list(DEFAULT_WEIGHTS)
    tasks += sorted({weights.task for weights in listed} - set(tasks))
    return sorted(listed, key=lambda weights: (tasks.index(weights.task), not weights.is_default, weights.name))


def _told(name: str) -> ShippedWeights:
    path = shipped_weights(name)
    entries = _head(path)
    height, width = entries["input_size"]
    card = path.with_suffix(".md")
    score = _SCORE.search(card.read_text(encoding="utf-8")) if card.is_file() else None
    return ShippedWeights(
        name,
        entries["task"],
        (height, width),
        path.stat().st_size / 1e6,
        score[1] if score else "",
        DEFAULT_WEIGHTS.get(entries["task"]) == name,
    )


def _head(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(str(path), framework="np") as file:
        entries: dict[str, Any] = parse_json(file.metadata()[DESCRIPTION], str(path))
        return entries
