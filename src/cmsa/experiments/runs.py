"""What a training left in its folder, as far as tables and reports need it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import commonprefix
from pathlib import Path
from typing import Any, Literal

from cmsa.experiments.sweep import finished, outcome_of, plan_of
from cmsa.files.read_json import expecting
from cmsa.models.weights import read_description
from cmsa.training.run_folder import LAST, PLAN, RECIPE

Kept = Literal["last", "best"]
WEIGHTS = "file of weights that cmsa train left"


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        folder: of the run.
        values: what tells its cell from others of the sweep, by axis; the folder's name of a run by itself, and how far
            it came where that is not its end; ``a-{0,1}`` of runs by themselves that differ in the seed only.
        seed: of the training.
        weights: the file that was scored; None while there is none, or it is not the end of the training.
        recipe: all entries; empty without weights.
        scores: of the validation stores, by ``STORE/SCORE``; the first store's as ``val/SCORE`` too.
        epoch: after which they were measured.
        seconds: of training, where a sweep measured them.
    """

    folder: Path
    values: dict[str, str]
    seed: int | None = None
    weights: Path | None = None
    recipe: dict[str, Any] | None = None
    scores: dict[str, float] | None = None
    epoch: int | None = None
    seconds: float | None = None


def read_runs(folders: Sequence[Path], kept: Kept = "last") -> list[Run]:
    """The runs in folders, of ``cmsa train`` or ``cmsa sweep``. A sweep's cells that are not finished have no weights.

    Args:
        folders: of runs, or of sweeps; a run that is named twice is read once.
        kept: which weights' scores: the ``last``, or the ``best``, which the validation store has chosen.

    Raises:
        ValueError: a folder holds neither a run nor a sweep, or a file is damaged.
    """
    runs: dict[Path, Run] = {}
    for run in (run for folder in folders for run in _runs_in(folder, kept)):
        runs.setdefault(run.folder.resolve(), run)
    return _seeds_gathered(list(runs.values()))


def _seeds_gathered(runs: Sequence[Run]) -> list[Run]:
    """Runs by themselves that ended, and differ in the seed only, under one name and beside each other."""
    cells: dict[str, list[Run]] = {}
    for run in runs:
        alone = run.values == {"run": run.folder.name}
        key = [run.recipe | {"seed": None}, run.epoch] if alone and run.recipe else [str(run.folder)]
        cells.setdefault(json.dumps(key, default=str), []).append(run)
    gathered = []
    for cell in cells.values():
        if len({run.seed for run in cell}) == len(cell) > 1:
            name = _shared_name([run.folder.name for run in cell])
            gathered += [replace(run, values={"run": name}) for run in cell]
        else:
            gathered += cell
    return gathered


def _shared_name(names: Sequence[str]) -> str:
    """As a shell would have it: a-0 and a-1 are a-{0,1}."""
    shared = commonprefix(names)  # noqa: RUF071 (of characters, not of folders)
    return f"{shared}{{{','.join(name.removeprefix(shared) for name in names)}}}"


def _runs_in(folder: Path, kept: Kept) -> list[Run]:
    if (folder / PLAN).is_file():
        cells = [(folder / name, cell["values"], cell["seed"]) for name, cell in plan_of(folder).items()]
        return [_run(*cell, kept) if finished(cell[0]) else Run(*cell) for cell in cells]
    begun = (folder / RECIPE).is_file() and not (folder / LAST).is_file()
    if not begun and not (folder / f"{kept}.safetensors").is_file():
        inside = sorted({place.parent.name for name in (RECIPE, PLAN) for place in folder.glob(f"*/{name}")})
        told = f"; name those that are in it: {', '.join(inside)}" if inside else ""
        raise ValueError(f"{folder}: neither a run with {kept}.safetensors nor a sweep with {PLAN}{told}")
    run = _run(folder, {"run": folder.name}, None, kept)
    last = run if kept == "last" else _run(folder, run.values, None, "last")
    return [replace(run, values={"run": folder.name + _how_far(last)})]


def _how_far(last: Run) -> str:
    """After how many epochs a training was cut, or is now, by its last weights; nothing at its end."""
    if last.weights is None:
        return ""
    with expecting(WEIGHTS, last.weights):
        epoch, epochs = last.epoch, dict((last.recipe or {}).get("optimizer", {})).get("epochs")
        return f" (after {epoch} of {epochs} epochs)" if epoch and epochs and epoch < epochs else ""


def _run(folder: Path, values: dict[str, str], seed: int | None, kept: Kept) -> Run:
    weights = folder / f"{kept}.safetensors"
    if not weights.is_file():  # a training without a validation store has no best
        return Run(folder, values, seed)
    training = read_description(weights).training
    with expecting(WEIGHTS, weights):
        recipe, model = dict(training["recipe"]), training["recipe"]["model"]
        recipe["model"] = dict(model) | {"task": str(model["task"])}
        height, width = model["input_size"]
        recipe["model"]["input_size"] = [int(height), int(width)]
        if model.get("working_size"):
            height, width = model["working_size"]
            recipe["model"]["working_size"] = [int(height), int(width)]
        recipe["data"] = dict(recipe["data"]) | {"validate": [str(store) for store in recipe["data"]["validate"]]}
        scores = {name: float(score) for name, score in dict(training.get("scores", {})).items() if score is not None}
    return Run(
        folder,
        values,
        recipe.get("seed", seed),
        weights,
        recipe,
        scores,
        training.get("epoch"),
        outcome_of(folder).get("seconds"),
    )
