"""``cmsa sweep``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cmsa.cli.arguments import parse_count, parse_folder, parse_seed
from cmsa.cli.train import TRAINING_OPTIONS, add_training_options, checked_devices
from cmsa.guidance.suggestion import as_option

if TYPE_CHECKING:
    from rich.console import Console

    from cmsa.experiments.grid import Cell

TEXT = "Train a grid over a recipe's entries with several seeds; one folder, one table of means and deviations."
EXAMPLES = """
examples:
  cmsa sweep digits --seeds 0 1 2 \\
      --set model.options.attention=standard,grouped,cmsa
  cmsa sweep digits --seeds 0 1 2 --set data.fraction=0.1,0.3,1 \\
      --optimizer.samples 20000 --parallel 2
  cmsa sweep mine.yaml --set model.input_size=[32,24],[64,48] \\
      data.train=[a.crops],[b.crops] data.validate=[c],[d]
  cmsa sweep contest_pose_32x24 --seeds 0 1 2 \\
      --rows contest_cmsa_n contest_resnet18
  cmsa sweep --table sweeps/digits
"""
TAKES_OVERRIDES = True


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "recipe", help="a YAML file, or the name of a shipped recipe or table of recipes; with --table a sweep's folder"
    )
    parser.add_argument("--out", type=parse_folder, help="folder of the sweep; by default sweeps/RECIPE")
    parser.add_argument(
        "--set",
        dest="axes",
        nargs="+",
        action="append",
        default=[],
        metavar="ENTRY=VALUE,VALUE",
        help="values of a recipe's entry; each --set is an axis of the grid, entries of one --set change together",
    )
    parser.add_argument("--rows", nargs="+", default=[], help="of a table of recipes; all of them by default")
    parser.add_argument("--seeds", nargs="+", type=parse_seed, default=[], help="the recipe's own by default")
    parser.add_argument("--parallel", type=parse_count, default=1, help="processes at a time, on the GPUs in turn")
    parser.add_argument("--table", action="store_true", help="train nothing; make the table of a sweep's folder again")
    parser.add_argument("--scores", nargs="+", default=[], help="of the table; by default what the task goes by")
    parser.add_argument(
        "--weights", choices=["last", "best"], default="last", help="whose scores; best is chosen by validation"
    )
    training = parser.add_argument_group("each training")
    add_training_options(training)


def written(options: argparse.Namespace) -> list[Path]:
    """The files that it writes of its own."""
    return [_folder(options) / name for name in ("sweep.json", "table.csv", "table.json", "table.md")]


def _folder(options: argparse.Namespace) -> Path:
    if options.table:
        return Path(options.recipe)
    return options.out or Path("sweeps") / Path(options.recipe).stem


def run(options: argparse.Namespace, rest: list[str]) -> int:
    """Run the command; returns the exit code, 1 if a training failed."""
    from rich.console import Console

    from cmsa.experiments.runs import read_runs
    from cmsa.experiments.table import check_scores, rows_of, score_names, show_table, shown_scores, write_table

    console = Console(soft_wrap=True)
    failed: list[str] = []
    folder = _folder(options)
    if options.table:
        if options.axes or options.seeds or options.rows or rest:
            raise ValueError("--table trains nothing: it takes the folder of a sweep, and no entries of a recipe")
    else:
        failed = _train(options, rest, folder, console)
    rows = rows_of(read_runs([folder], options.weights))
    done = any(row.done for row in rows)
    if done or options.table:
        check_scores(options.scores, score_names(rows))
    scores = shown_scores(rows, options.scores) if done else []
    title = f"{folder}: {options.weights} weights, mean ± standard deviation over n runs"
    if scores:
        Console().print(show_table(rows, scores, title))
    write_table(rows, scores, title, folder)
    told = f"{folder / 'table.md'} has this table, table.csv and table.json have every score"
    console.print(told, highlight=False, markup=False)
    return 1 if failed else 0


def _train(options: argparse.Namespace, rest: list[str], folder: Path, console: Console) -> list[str]:
    from cmsa.cli.prepare import make_missing
    from cmsa.cli.written import files_of_recipe, refuse_overwriting
    from cmsa.data.store import CropStore
    from cmsa.experiments.grid import cells_of, parse_axis
    from cmsa.experiments.sweep import finished, recipes_of, refuse_other_use, run_sweep
    from cmsa.experiments.table import check_scores, scores_to_come
    from cmsa.training.recipe_files import rows_of
    from cmsa.training.starting_point import check_entries

    checked_devices(options)
    rows = options.rows or rows_of(options.recipe)
    cells = cells_of([parse_axis(words) for words in options.axes], options.seeds, rows)
    _refuse_fixed(rest, cells)
    recipes = recipes_of(options.recipe, cells, rest)
    for recipe in recipes.values():
        check_entries(recipe)
        refuse_overwriting(written(options), files_of_recipe(recipe))
    if (names := scores_to_come(recipes.values())) is not None:
        check_scores(options.scores, names)
    refuse_other_use(folder)
    waiting = [recipe.data for name, recipe in recipes.items() if not finished(folder / name)]
    # Processes that run side by side must not make the same store.
    for data in waiting:
        make_missing(data.prepare, data.train + data.validate)
    for store in dict.fromkeys(store for data in waiting for store in data.train + data.validate):
        CropStore.open(store)
    failed = run_sweep(
        options.recipe,
        cells,
        folder,
        overrides=rest,
        options=_training_options(options),
        parallel=options.parallel,
        gpus=_gpus() if options.devices == "1" and options.accelerator != "cpu" else [],
        tell=lambda line: console.print(line, highlight=False, markup=False),
    )
    for name in failed:
        console.print(f"{name} failed; the same command tries it again", highlight=False, markup=False)
    return failed


def _refuse_fixed(rest: list[str], cells: Sequence[Cell]) -> None:
    """An entry that is one for all trainings, and of the grid, would be passed over."""
    fixed, varied = ({word.partition("=")[0] for word in words} for words in (rest, cells[0].overrides))
    if twice := sorted(fixed & varied):
        raise ValueError(f"{', '.join(twice)}: is set for all trainings, and by the grid (--set or --seeds) for each")


def _training_options(options: argparse.Namespace) -> list[str]:
    """Words for ``cmsa train``."""
    given = {name: getattr(options, name) for name in TRAINING_OPTIONS}
    if options.parallel > 1 and options.threads is None:
        given["threads"] = max(1, (os.cpu_count() or 1) // options.parallel)
    words = []
    for name, value in given.items():
        if value is not None and value is not False:
            words += [as_option(name), *([] if value is True else [str(value)])]
    return words


def _gpus() -> list[str]:
    """What CUDA calls the GPUs that this process may use."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",") if given else [str(number) for number in range(torch.cuda.device_count())]
