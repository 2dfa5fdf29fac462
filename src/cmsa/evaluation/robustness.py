"""How much a network bears: its score on crops that are made worse step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cmsa.data.disturbances import Disturbance, disturbances, disturbed
from cmsa.evaluation.evaluate import evaluate_opened
from cmsa.evaluation.opened import open_evaluation
from cmsa.files.whole import refuse_unwritable
from cmsa.files.write_json import write_json
from cmsa.guidance.bars import progress_bar
from cmsa.metrics.table import Scores, below
from cmsa.training.recipe import Recipe
from cmsa.visualization.curves import Panel, save_curves

if TYPE_CHECKING:
    from rich.console import Group

UNDISTURBED = "none"
ROBUSTNESS = "robustness.json"
"""Name of the file, which a report reads."""


@dataclass(frozen=True)
class RobustnessRow:
    """The scores of one store at one strength.

    Attributes:
        store: its name.
        disturbance: its name.
        unit: what the strength is.
        strength: how much; None is the undisturbed store.
        scores: of the store.
    """

    store: str
    disturbance: str
    unit: str
    strength: float | None
    scores: Scores

    @property
    def step(self) -> str:
        """The strength as text."""
        return UNDISTURBED if self.strength is None else f"{self.strength:g}"


def robustness(
    recipe: Recipe,
    weights: str,
    *,
    out: Path | None = None,
    flip_test: bool = False,
    batch_size: int = 64,
    device: str = "cpu",
    plain: Mapping[str, Scores] | None = None,
) -> list[RobustnessRow]:
    """Score weights on the validation stores of a recipe at every strength of every disturbance, and show tables.

    Args:
        recipe: its ``data.validate`` is scored, and its ``seed`` is that of what is random.
        weights: a shipped name, a weights file, a folder or a hub id.
        out: folder for ``robustness.json`` and the curves, ``robustness.png``.
        flip_test: average with the mirrored image.
        batch_size: crops at a time.
        device: where to run.
        plain: the scores of undisturbed stores where they are known, as ``evaluate_recipe`` gives them.

    Returns:
        A row for each store, disturbance and strength, the undisturbed one first: the plain evaluation's scores.

    Raises:
        FileNotFoundError, StoreError, ValueError: as ``cmsa.evaluation.opened.open_evaluation``.
    """
    from rich.console import Console

    if out:
        refuse_unwritable(out / ROBUSTNESS)
    evaluation = open_evaluation(recipe, weights, device)
    kinds = disturbances(evaluation.trained.description.input_size[0])
    console, rows = Console(), []

    scored = partial(evaluate_opened, evaluation, flip_test=flip_test, batch_size=batch_size)
    with progress_bar(console) as progress:
        strengths = sum(len(kind.strengths) for kind in kinds)
        bar = progress.add_task("robustness", total=len(evaluation.stores) * (1 + strengths))
        for name, store in evaluation.stores.items():
            undisturbed = (plain or {}).get(name) or scored(store)
            progress.advance(bar)
            for kind in kinds:
                rows.append(RobustnessRow(name, kind.name, kind.unit, None, undisturbed))
                for strength in kind.strengths:
                    scores = scored(disturbed(store, kind, strength, recipe.seed))
                    rows.append(RobustnessRow(name, kind.name, kind.unit, strength, scores))
                    progress.advance(bar)
    score = evaluation.task.monitored[0]
    for kind in kinds:
        console.print(robustness_table(rows, kind, score))
    if out:
        flip = f"flip test {'on' if flip_test else 'off'}"
        save_curves(out / "robustness.png", [_panel(rows, kind, score) for kind in kinds], score, f"{weights}, {flip}")
        content = {"weights": weights, "flip_test": flip_test, "seed": recipe.seed, "score": score}
        write_json(out / ROBUSTNESS, content | {"rows": [asdict(row) for row in rows]}, indent=1)
    return rows


def robustness_table(rows: Sequence[RobustnessRow], kind: Disturbance, score: str) -> Group:
    """One disturbance: what it is, and a table with a row for each store and a column for each strength."""
    from rich.markup import escape
    from rich.table import Column, Table

    panel = _panel(rows, kind, score)
    columns = (Column(step, justify="right", no_wrap=True) for step in panel.steps)
    table = Table(Column("", overflow="fold"), *columns)
    for name, values in panel.curves.items():
        table.add_row(escape(name), *(f"{value:.4f}" for value in values))
    return below([f"{score} by {kind.name}: {kind.unit}"], table)


def _panel(rows: Sequence[RobustnessRow], kind: Disturbance, score: str) -> Panel:
    chosen = [row for row in rows if row.disturbance == kind.name]
    curves: dict[str, list[float]] = {}
    for row in chosen:
        curves.setdefault(row.store, []).append(float(row.scores[score]))
    return Panel(kind.name, kind.unit, list(dict.fromkeys(row.step for row in chosen)), curves)
