"""Protocols: what a row of the paper is trained and scored by, where papers, the released code and we differ.

A recipe names a protocol, and leaves open what the protocol decides; what it writes out itself, or what is given on the
command line, stands above it. ``docs/protocols.md`` says why each entry is what it is; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmsa.training.recipe_files import merged

PROTOCOLS: dict[str, dict[str, dict[str, Any]]] = {
    "ours": {
        "pose": {
            "codec": "udp",
            "data": {"antialias": True},
            "augment": {"erasing_probability": 0.25},
            "optimizer": {"learning_rate_rule": "fixed", "ema_decay": 0.0},
        },
        "head_pose": {
            "data": {"antialias": True},
            "augment": {"erasing_probability": 0.0},
            "optimizer": {"learning_rate_rule": "fixed", "ema_decay": 0.0},
        },
        "classification": {
            "augment": {"mixup": 0.8, "cutmix": 0.0, "randaugment": 0.0, "repeats": 1, "erasing_probability": 0.25},
            "optimizer": {"learning_rate_rule": "fixed", "ema_decay": 0.9998, "scored_weights": "average"},
        },
    },
    "release": {
        "pose": {
            "codec": "exact_quarter",
            "data": {"antialias": False},
            "augment": {"erasing_probability": 0.25},
            "optimizer": {"learning_rate_rule": "deit", "ema_decay": 0.0},
        },
        "head_pose": {
            "data": {"antialias": False},
            "augment": {"erasing_probability": 0.0},
            "optimizer": {"learning_rate_rule": "deit", "ema_decay": 0.0},
        },
        "classification": {
            "augment": {
                "mixup": 0.8,
                "cutmix": 1.0,
                "switch": 0.5,
                "randaugment": 9.0,
                "repeats": 3,
                "erasing_probability": 0.25,
            },
            "optimizer": {"learning_rate_rule": "deit", "ema_decay": 0.99996, "scored_weights": "network"},
        },
    },
}
"""Entries by protocol and task."""
CMSA_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "ours": {
        "pose": {"fusion": "mixer", "drop_path_rate": 0.1},
        "head_pose": {"drop_path_rate": 0.1},
        "classification": {"drop_path_rate": 0.1},
    },
    "release": {
        "pose": {"fusion": "linear", "drop_path_rate": 0.1},
        "head_pose": {"drop_path_rate": 0.1},
        "classification": {"drop_path_rate": 0.1},
    },
}
"""Options of the network, by protocol and task; they are CMSA's, and other networks are left without them."""


def with_protocol(entries: Mapping[str, Any], protocol: str, task: str, network: str) -> dict[str, Any]:
    """A recipe's entries over those of a protocol.

    Args:
        entries: as they are written.
        protocol: ``ours`` or ``release``.
        task, network: of the recipe.

    Returns:
        All of them; a task that a protocol says nothing of has only the recipe's.
    """
    below = PROTOCOLS[protocol].get(task, {})
    found = merged(below, entries) | {"protocol": protocol}
    if not network.startswith("cmsa_"):
        return found
    model = dict(found.get("model") or {})
    options = CMSA_OPTIONS[protocol].get(task, {}) | dict(model.get("options") or {})
    return found | {"model": model | {"options": options}}
