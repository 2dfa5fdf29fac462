"""What a network finds in a store, as a file to be handed in where the truth is kept secret."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from cmsa.evaluation.evaluate import evaluate_opened
from cmsa.evaluation.opened import open_evaluation
from cmsa.files.whole import refuse_own_input, refuse_unwritable, whole_file
from cmsa.guidance.bars import progress_bar
from cmsa.guidance.counts import count_of
from cmsa.training.recipe import Recipe


def submit(
    recipe: Recipe, weights: str, out: Path, *, flip_test: bool = False, batch_size: int = 64, device: str = "cpu"
) -> int:
    """Write what weights find in the validation store of a recipe, in the task's format; nothing is scored.

    Args:
        recipe: its ``data.validate`` names one store, prepared with detections.
        weights: a shipped name, a weights file, a folder or a hub id.
        out: JSON file to write.
        flip_test: average with the mirrored image.
        batch_size: crops at a time.
        device: where to run.

    Returns:
        How many entries were written.

    Raises:
        FileNotFoundError, StoreError: as ``cmsa.evaluation.opened.open_evaluation``.
        ValueError: as there; or there are several stores, the task has no such format, or the store's boxes are true.
    """
    from rich.console import Console
    from rich.markup import escape

    evaluation = open_evaluation(recipe, weights, device)
    refuse_own_input(out, *evaluation.read_files)
    refuse_unwritable(out)
    if len(evaluation.stores) != 1:
        raise ValueError(f"a submission is of one store, data.validate names {len(evaluation.stores)}")
    (store,) = evaluation.stores.values()
    account = evaluation.task.submission(store)
    console = Console()
    with progress_bar(console) as progress:
        bar = progress.add_task(escape(store.folder.name), total=len(store))
        advance = partial(progress.advance, bar)
        evaluate_opened(evaluation, store, flip_test=flip_test, batch_size=batch_size, advance=advance, score=account)
    entries = account.entries()
    with whole_file(out) as written:
        written.write_text(json.dumps(entries, allow_nan=False), encoding="utf-8")
    console.print(
        f"{count_of(len(entries), 'entry', 'entries')} of {count_of(len(store), 'crop')} -> {escape(str(out))}"
    )
    return len(entries)
