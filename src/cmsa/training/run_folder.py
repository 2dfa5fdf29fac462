"""What a run's folder says of the run besides its weights: the recipe, how and where it was started, its curves."""

from __future__ import annotations

import csv
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from cmsa.files.whole import whole_file
from cmsa.training.recipe import Recipe, load_recipe
from cmsa.training.recipe_checks import leaves
from cmsa.version import __version__

RECIPE, STARTS, CURVES = "recipe.yaml", "starts.jsonl", "learning_curves.png"
LAST = "last.safetensors"
"""The weights of the last epoch."""
PLAN = "sweep.json"
"""What ``cmsa sweep`` leaves in its folder."""
PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy", "opencv-python-headless")


def refuse_store(out: Path) -> None:
    """Refuse to write into a packed store.

    Raises:
        FileExistsError: it is one.
    """
    if (out / "crops.npy").exists():
        raise FileExistsError(f"{out}: is a store of crops: choose another folder")


def refuse_other_run(recipe: Recipe, out: Path) -> None:
    """What lies in a folder that has no checkpoint is written over only if it is of the very same recipe's run.

    Raises:
        FileExistsError: weights of another run are there, or a recipe that no run left; or it is a packed store, or the
            folder of a sweep, whose table would not show the run.
    """
    refuse_store(out)
    if (out / PLAN).is_file():
        raise FileExistsError(f"{out}: is the folder of a sweep: choose another one for the run")
    there = out / RECIPE
    if there.is_file() and _says(there, recipe):
        return
    left = [out / name for name in ("best.safetensors", LAST) if (out / name).exists()]
    if there.is_file() and not (out / STARTS).is_file():
        left.append(there)
    if left:
        raise FileExistsError(f"{left[0]}: is no run's of this recipe, and would be overwritten: choose another folder")


def _says(file: Path, recipe: Recipe) -> bool:
    try:
        return load_recipe(str(file)) == recipe
    except ValueError:
        return False


def changed_entries(recipe: Recipe, out: Path, **more: Any) -> list[str]:
    """What is other than at a run's last start, as ``optimizer.epochs 2 -> 3``; nothing where that is lost.

    Args:
        recipe: that is trained.
        out: the run's folder.
        more: entries of the line of ``starts.jsonl``.

    Raises:
        ValueError: ``recipe.yaml`` is there and cannot be read, so that nobody can say; it would be written over.
    """
    before: dict[str, Any] = {}
    if (out / RECIPE).is_file():
        try:
            before |= leaves(load_recipe(str(out / RECIPE)))
        except ValueError as error:
            remedy = "mend it, or remove it to go on whatever the run began with"
            raise ValueError(f"{error}; {remedy}") from error
    with suppress(OSError, ValueError, IndexError, TypeError):
        before |= json.loads((out / STARTS).read_text(encoding="utf-8").splitlines()[-1])
    now = [*leaves(recipe), *more.items()]
    return [f"{name} {before[name]} -> {value}" for name, value in now if before.get(name, value) != value]


def note_start(recipe: Recipe, out: Path, **more: Any) -> None:
    """Write ``recipe.yaml``, as it is run, and a line of ``starts.jsonl``: each start of a resumed run has its own.

    Args:
        recipe: that is trained.
        out: the run's folder.
        more: further entries of the line.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not (out / RECIPE).is_file() or not _says(out / RECIPE, recipe):  # which may be somebody's, with remarks
        write_recipe(recipe, out / RECIPE)
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(sys.argv),
        "folder": str(Path.cwd()),
        "git_commit": git_commit(),
        "versions": {"cmsa": __version__, "python": platform.python_version()} | _versions(),
        "machine": platform.platform(),
    }
    starts = out / STARTS
    torn = starts.is_file() and not starts.read_bytes().endswith(b"\n")  # by a kill, or a full disk
    with starts.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps(line | more) + "\n")


def write_recipe(recipe: Recipe, file: Path) -> None:
    """Write all entries of a recipe as YAML."""
    with whole_file(file) as partial:
        partial.write_text(yaml.safe_dump(recipe.to_dict(), sort_keys=False, allow_unicode=True), encoding="utf-8")


def command_line(arguments: Sequence[str]) -> str:
    """What was typed, to be pasted into a shell; whatever starts ``cmsa`` by another way is a script of Python's.

    Args:
        arguments: ``sys.argv``.

    Examples:
        >>> command_line(["/usr/local/bin/cmsa", "train", "digits", "--data.train", "[a b.crops]"])
        "cmsa train digits --data.train '[a b.crops]'"
        >>> command_line(["/site-packages/cmsa/__main__.py", "train", "digits"])
        'python -m cmsa train digits'
    """
    program, *words = arguments
    name = Path(program).name
    if name == "__main__.py":
        start = ["python", "-m", Path(program).parent.name]
    else:
        start = ["cmsa"] if name == "cmsa" else ["python", program]
    return shlex.join([*start, *words])


def git_commit(folder: Path | None = None) -> str | None:
    """The commit of a working copy, with ``+changes`` where its files differ; None outside of one, or without git.

    Args:
        folder: in the working copy; the current one by default.
    """
    try:
        commit, changes = (
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.strip() + ("+changes" if changes.strip() else "")


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def draw_curves(metrics: Path, out: Path, monitored: str) -> None:
    """Draw the loss and the score by which the best weights are kept, over steps; nothing where neither was logged.

    Args:
        metrics: the run's ``metrics.csv``.
        out: picture to write.
        monitored: end of the score's column, e.g. ``AP``.
    """
    if not metrics.is_file():
        return
    with metrics.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0]) if rows else []
    panels = [
        [name for name in columns if "loss" in name],
        [name for name in columns if name.endswith(f"/{monitored}")],
    ]
    panels = [names for names in panels if names]
    if not panels:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0 * len(panels), 3.5), layout="constrained")
    for axes, names in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        drawn: list[list[tuple[float, float]]] = []
        for name in names:
            points = [(float(row["step"]), float(row[name])) for row in rows if row[name] and row["step"]]
            if points in drawn:  # ``val/`` repeats the first validation store, and would hide it
                continue
            drawn.append(points)
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 50 else None, label=name)
        axes.set_xlabel("steps")
        axes.legend()
        axes.grid(alpha=0.3)
    with whole_file(out) as partial:
        figure.savefig(partial, dpi=120, format="png")
