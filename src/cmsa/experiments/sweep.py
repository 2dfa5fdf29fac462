"""A sweep: one folder, in it a folder for each cell of a grid, filled by processes of ``cmsa train``.

``sweep.json`` lists the cells. A cell's folder has ``recipe.yaml`` (all that it trains by), ``train.log`` (what the
process said), what ``cmsa train`` leaves, and ``outcome.json`` once the process has ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cmsa.experiments.grid import Cell
from cmsa.files.lock import only_process_in
from cmsa.files.read_json import expecting, read_json
from cmsa.files.write_json import write_json
from cmsa.training.interruption import Interrupted, SignalWatch
from cmsa.training.recipe import Recipe, load_recipe
from cmsa.training.recipe_checks import leaves
from cmsa.training.run_folder import LAST, PLAN, RECIPE, STARTS, refuse_store, write_recipe

LOG = "train.log"
OUTCOME = "outcome.json"
POLL_SECONDS = 0.1
LAST_LETTERS = 4000
"""Of a log, in which the reason of a failure is looked for."""


def run_sweep(
    recipe: str,
    cells: Sequence[Cell],
    out: Path,
    *,
    overrides: Sequence[str] = (),
    options: Sequence[str] = (),
    parallel: int = 1,
    gpus: Sequence[str] = (),
    tell: Callable[[str], None] = print,
) -> list[str]:
    """Train every cell that is not finished yet; one that was cut goes on from its checkpoint.

    Args:
        recipe: a YAML file, or the name of a shipped recipe; or of a table of recipes, if the cells name its rows.
        cells: of the grid. Cells that an earlier sweep left in the folder stay in its table.
        out: the sweep's folder.
        overrides: of the recipe, the same in all cells.
        options: of ``cmsa train``, e.g. ``["--threads", "1"]``.
        parallel: processes at a time.
        gpus: what ``CUDA_VISIBLE_DEVICES`` is set to, one after the other for the processes; left alone if empty.
        tell: is given a line whenever something begins or ends.

    Returns:
        Names of the cells whose training failed; the others went on.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: an entry is wrong, two cells are one training, or a cell's folder holds a run of another recipe.
        FileExistsError: the folder is a run's, or a store.
        FolderInUseError: another sweep works in the folder, or trainings of one that was killed.
        Interrupted: SIGINT or SIGTERM came; every running cell was told to write its checkpoint.
    """
    recipes = recipes_of(recipe, cells, overrides)
    refuse_other_use(out)
    with only_process_in(out) as lock:
        _plan(out, cells, recipes)
        waiting = deque(cell.name for cell in cells if not finished(out / cell.name))
        if len(waiting) < len(cells):
            tell(f"{len(cells) - len(waiting)} of {len(cells)} cells are finished already")
        return _run(_Processes(out, options, gpus, lock), waiting, parallel, tell)


def recipes_of(recipe: str, cells: Sequence[Cell], overrides: Sequence[str] = ()) -> dict[str, Recipe]:
    """By what each cell is trained, by its name; arguments are those of ``run_sweep``.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: an entry is wrong, or two cells are one training: their values say the same in other letters.
    """
    recipes: dict[str, Recipe] = {}
    for cell in cells:
        loaded = load_recipe(f"{recipe}:{cell.row}" if cell.row else recipe, [*overrides, *cell.overrides])
        if same := next((name for name, other in recipes.items() if other == loaded), None):
            raise ValueError(f"{same} and {cell.name} are one training, written in two ways: leave out one of them")
        recipes[cell.name] = loaded
    return recipes


def refuse_other_use(out: Path) -> None:
    """Refuse a folder that holds something else than a sweep.

    Raises:
        FileExistsError: a run of ``cmsa train`` is in it, which tables would no longer show, or it is a packed store.
    """
    refuse_store(out)
    if (out / STARTS).is_file() and not (out / PLAN).is_file():
        raise FileExistsError(f"{out}: is the folder of a run: choose another one for the sweep")


def finished(folder: Path) -> bool:
    """Whether a cell's training ended well."""
    return outcome_of(folder).get("exit_code") == 0 and (folder / LAST).is_file()


def outcome_of(folder: Path) -> dict[str, Any]:
    """``exit_code`` and ``seconds`` of a cell; empty while there is none.

    Raises:
        JsonError: what is there says something else.
    """
    return _kept(folder / OUTCOME, dict)


def plan_of(folder: Path) -> dict[str, dict[str, Any]]:
    """``name``, ``values`` and ``seed`` of a sweep's cells, by name; empty while there is no plan.

    Raises:
        JsonError: what is there says something else.
    """

    def cells_by_name(content: Any) -> dict[str, dict[str, Any]]:
        cells = ((str(cell["name"]), dict(cell["values"]), cell["seed"]) for cell in content["cells"])
        return {name: {"name": name, "values": values, "seed": seed} for name, values, seed in cells}

    return _kept(folder / PLAN, cells_by_name)


def _kept(path: Path, take: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """What a file of a sweep says; empty where there is none."""
    if not path.is_file():
        return {}
    content = read_json(path)
    with expecting(f"{path.name} of cmsa sweep", path):
        return take(content)


def _plan(out: Path, cells: Sequence[Cell], recipes: dict[str, Recipe]) -> None:
    planned = plan_of(out)
    for name, recipe in recipes.items():
        file = out / name / RECIPE
        if file.is_file():
            before = dict(leaves(load_recipe(str(file))))
            differing = [
                f"{key} {before[key]} there, {value} here" for key, value in leaves(recipe) if before[key] != value
            ]
            if differing:
                raise ValueError(
                    f"{out / name}: holds a run of another recipe ({'; '.join(differing[:3])}); choose another folder"
                )
            continue
        write_recipe(recipe, file)
    planned |= {cell.name: {"name": cell.name, "values": cell.values, "seed": cell.seed} for cell in cells}
    write_json(out / PLAN, {"cells": list(planned.values())}, indent=1)


@dataclass
class _Running:
    name: str
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class _Processes:
    """Starts a process for a cell, and writes down how it ended."""

    out: Path
    options: Sequence[str]
    gpus: Sequence[str]
    lock: int | None = None

    def start(self, name: str, slot: int) -> _Running:
        folder = self.out / name
        command = [sys.executable, "-m", "cmsa", "train", str(folder / RECIPE), "--out", str(folder), "--no-progress"]
        resume = ["--resume"] if (folder / "last.ckpt").is_file() else []
        chosen = {"CUDA_VISIBLE_DEVICES": self.gpus[slot % len(self.gpus)]} if self.gpus else {}
        with (folder / LOG).open("ab") as log:
            # A session of its own: Ctrl-C comes here only, and is handed on once. A training that lives on where this
            # process is killed holds the lock: no other sweep begins its cell again.
            process = subprocess.Popen(
                [*command, *resume, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | chosen,
                start_new_session=True,
                pass_fds=() if self.lock is None else (self.lock,),
            )
        return _Running(name, process)

    def end(self, run: _Running) -> str:
        """What is to be told of it; empty if it ended well."""
        folder, code = self.out / run.name, run.process.wait()
        seconds = outcome_of(folder).get("seconds", 0.0) + time.monotonic() - run.started
        write_json(folder / OUTCOME, {"exit_code": code, "seconds": round(seconds, 3)})
        return "" if code == 0 else f"exit code {code}: {_last_line(folder / LOG)} ({folder / LOG})"


def _run(processes: _Processes, waiting: deque[str], parallel: int, tell: Callable[[str], None]) -> list[str]:
    running: dict[int, _Running] = {}
    failed: list[str] = []
    count, begun = len(waiting), 0
    watch = SignalWatch()
    watch.start()
    try:
        while running or waiting:
            for slot in range(parallel):
                if slot not in running and waiting:
                    begun += 1
                    tell(f"{begun}/{count} {waiting[0]}: begins")
                    running[slot] = processes.start(waiting.popleft(), slot)
            time.sleep(POLL_SECONDS)
            if watch.noted is not None:
                raise Interrupted(watch.noted, f"{processes.out}: was told to end; the same command goes on from here")
            for slot in [slot for slot, run in running.items() if run.process.poll() is not None]:
                run = running.pop(slot)
                wrong = processes.end(run)
                failed += [run.name] if wrong else []
                took = timedelta(seconds=round(time.monotonic() - run.started))
                tell(f"{run.name}: FAILED, {wrong}" if wrong else f"{run.name}: finished in {took}")
    finally:
        _end_all(processes, running.values())
        watch.stop()
    return failed


def _end_all(processes: _Processes, running: Iterable[_Running]) -> None:
    """Each writes a checkpoint first."""
    for run in running:
        run.process.terminate()
    for run in running:
        processes.end(run)


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-LAST_LETTERS:].decode("utf-8", errors="replace").split("\n")
    # Where a run can go on is no reason.
    told = [line.strip() for line in lines if line.strip() and not line.endswith("with --resume")]
    return told[-1] if told else "it said nothing"
