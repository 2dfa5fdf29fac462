"""What is kept of an evaluation: besides the scores all that is needed to read them years later, and to repeat them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cmsa.data.store import CropStore
from cmsa.evaluation.opened import Evaluation
from cmsa.files.whole import whole_file
from cmsa.files.write_json import plain, write_json
from cmsa.metrics.bootstrap import CONFIDENCE, RESAMPLES
from cmsa.metrics.score import Score
from cmsa.models.cost import cost_of
from cmsa.models.fuse import fuse
from cmsa.version import __version__

SAMPLE_SUFFIXES = (".jsonl", ".parquet")
Accounts = Mapping[str, Score]
"""Filled accounts by the names of the stores, or of store and exported file."""


def write_record(path: Path, evaluation: Evaluation, accounts: Accounts, scores: Mapping[str, Any], flip: bool) -> None:
    """Write the scores and how they came about as JSON.

    The recipe is that of the weights, as they tell it: the one that was asked for names the stores, and may be of
    another network.

    Args:
        path: file to write.
        evaluation: what was scored.
        accounts: of every store.
        scores: what the accounts came to.
        flip: whether the flip test was on.
    """
    trained = evaluation.trained
    description = trained.description
    cost = cost_of(trained, fuse(trained), description.input_size)
    training = dict(description.training)
    recipe = training.pop("recipe", None)
    content = {
        "weights": evaluation.weights,
        "flip_test": flip,
        "scores": scores,
        "intervals": {name: account.intervals() for name, account in accounts.items()},
        "intervals_are": f"{CONFIDENCE:.0%}, percentile bootstrap, {RESAMPLES} resamples",
        "details": {name: account.details() for name, account in accounts.items()},
        "model": {
            "name": description.name,
            "task": description.task,
            "input_size": description.input_size,
            "options": description.options,
            "decoding": description.decoding,
            "parameters": cost.parameters,
            "multiply_adds": cost.multiply_adds,
            "multiply_adds_with_attention": cost.with_attention,
        },
        "stores": {name: _store(store) for name, store in evaluation.stores.items()},
        "seed": recipe.get("seed") if isinstance(recipe, dict) else None,
        "recipe": recipe,
        "training": training,
        "cmsa": __version__,
    }
    write_json(path, content, indent=2)


def _store(store: CropStore) -> dict[str, Any]:
    spec = store.spec
    return {
        "folder": str(store.folder),
        "data": store.meta.get("data", "unknown"),
        "annotations": store.meta.get("annotations"),
        "crops": len(store),
        "boxes": store.meta.get("box_source", "unknown"),
        "crop": {
            "size": spec.size,
            "padding": spec.padding,
            "convention": spec.convention,
            "antialias": spec.antialias,
            "margin": store.meta.get("margin", "none"),
        },
    }


def check_samples_path(path: Path) -> None:
    """Raise a ValueError unless the file's ending is one of ``SAMPLE_SUFFIXES``."""
    if path.suffix not in SAMPLE_SUFFIXES:
        raise ValueError(f"{path}: results of samples are kept as {' or '.join(SAMPLE_SUFFIXES)}")


def write_samples(path: Path, accounts: Accounts) -> None:
    """Write a row for each sample: ``store``, ``sample``, its place in the store, and what its account says of it.

    Args:
        path: file to write, ``.jsonl`` or ``.parquet``.
        accounts: of every store.
    """
    rows = _rows(accounts)
    with whole_file(path) as written:
        if path.suffix == ".parquet":
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), written)
        else:
            with written.open("w", encoding="utf-8") as lines:
                lines.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def _rows(accounts: Accounts) -> Iterable[dict[str, Any]]:
    for name, account in accounts.items():
        for place, row in enumerate(account.samples()):
            yield {"store": name, "sample": place} | plain(row)
