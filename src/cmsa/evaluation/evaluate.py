"""Weights and a data set -> a table of scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import torch

from cmsa.data.loader import store_loader
from cmsa.data.store import CropStore, names_of
from cmsa.evaluation.gallery import check_gallery_path, gallery_files, save_gallery
from cmsa.evaluation.opened import Evaluation, open_evaluation
from cmsa.evaluation.record import check_samples_path, write_record, write_samples
from cmsa.export.converted import open_exported_of
from cmsa.files.whole import refuse_own_input, refuse_unwritable
from cmsa.guidance.bars import progress_bar
from cmsa.metrics.score import Score
from cmsa.metrics.table import Scores, score_table
from cmsa.runtime.finite import NOT_FINITE, first_not_finite
from cmsa.runtime.preprocess import Preprocess
from cmsa.tasks import Task
from cmsa.tasks.task import Network
from cmsa.training.recipe import Recipe


@torch.inference_mode()
def evaluate_store(
    network: Network,
    task: Task,
    store: CropStore,
    *,
    flip_test: bool = False,
    batch_size: int = 64,
    device: str = "cpu",
    advance: Callable[[int], None] = lambda count: None,
    score: Score | None = None,
    preprocess: Preprocess | None = None,
) -> Scores:
    """Score a network on an evaluation store.

    Args:
        network: images (B, 3, H, W) -> output; in eval mode.
        task: decodes the output.
        store: crops cut for evaluation.
        flip_test: average with the mirrored image.
        batch_size: crops at a time; the result does not depend on it.
        device: where the network is.
        advance: told the number of crops done, for a progress bar.
        score: an empty account to fill, for more than the result.
        preprocess: from crops to images; ImageNet's mean and spread by default.

    Raises:
        ValueError: the network says something that is not finite; the crop is named.

    Examples:
        >>> from pathlib import Path
        >>> from cmsa import create_model, fuse
        >>> from cmsa.data.prepare import prepare
        >>> from cmsa.tasks.classification import ClassificationTask
        >>> store = prepare("digits", Path("digits.crops"), training=False, progress=False)
        >>> network = fuse(create_model("cmsa_n", "classification", (16, 16), num_classes=10, depths=(1, 1, 1)))
        >>> int(evaluate_store(network, ClassificationTask(10), store)["images"])
        359
    """
    preprocess = (preprocess or Preprocess()).to(device)
    score = score or task.score(store)
    done = 0
    for batch in store_loader([store], batch_size, training=False):
        images = preprocess(batch["crops"].to(device))
        decoded = tuple(part.cpu() for part in task.predict(network, images, flip_test))
        if (wrong := first_not_finite(decoded)) is not None:
            raise ValueError(f"{store.folder}: what the network says of crop {done + wrong} {NOT_FINITE}")
        score.update(batch, decoded)
        done += len(images)
        advance(len(images))
    return score.compute()


def evaluate_opened(
    evaluation: Evaluation,
    store: CropStore,
    *,
    flip_test: bool,
    batch_size: int,
    exported: Network | None = None,
    advance: Callable[[int], None] = lambda count: None,
    score: Score | None = None,
) -> Scores:
    """Score what ``open_evaluation`` opened on one of its stores, or on a store made of one.

    Args:
        evaluation: the network, and how it is fed.
        store: as for ``evaluate_store``, and so ``flip_test``, ``batch_size``, ``advance`` and ``score``.
        exported: takes the network's place, on the CPU.
    """
    return evaluate_store(
        exported or evaluation.network,
        evaluation.task,
        store,
        flip_test=flip_test,
        batch_size=batch_size,
        device="cpu" if exported else evaluation.device,
        advance=advance,
        score=score,
        preprocess=evaluation.preprocess,
    )


def evaluate_recipe(
    recipe: Recipe,
    weights: str,
    *,
    flip_test: bool = False,
    out: Path | None = None,
    samples: Path | None = None,
    batch_size: int = 64,
    device: str = "cpu",
    pictures: Path | None = None,
    gallery: Path | None = None,
    exported: Sequence[Path] = (),
) -> dict[str, Scores]:
    """Score weights on the validation stores of a recipe, print one table, and write files where asked.

    Args:
        recipe: its ``data.validate`` is scored.
        weights: a shipped name, a weights file, a folder or a hub id.
        flip_test: average with the mirrored image.
        out: JSON file to write, see ``write_record``.
        samples: file for a row of each sample, ``.jsonl`` or ``.parquet``.
        batch_size: crops at a time.
        device: where to run, e.g. ``cpu`` or ``cuda``.
        pictures: folder for what the task draws of each store, e.g. a confusion matrix.
        gallery: picture of the best, median and worst cases, or a folder for one of each store.
        exported: files of ``cmsa export`` to score as well, e.g. to see what int8 costs.

    Returns:
        Scores by store, and by store and file.

    Raises:
        FileNotFoundError: there are no such weights, or no such file.
        StoreError: a store is missing or damaged.
        ValueError: the recipe names no validation store, a store or a file does not fit the weights, ``samples`` has
            another ending, ``gallery`` has one that is no picture's, or is one picture for several stores.

    Examples:
        >>> from pathlib import Path
        >>> from cmsa import create_model, save_weights
        >>> from cmsa.data.prepare import prepare
        >>> from cmsa.training.recipe import load_recipe
        >>> store = prepare("digits", Path("stores/digits-test.crops"), training=False, progress=False)
        >>> digits = {"num_classes": 10, "depths": (1, 1, 1)}
        >>> save_weights("untrained.safetensors", create_model("cmsa_n", "classification", (16, 16), **digits))
        >>> scores = evaluate_recipe(load_recipe("digits"), "untrained.safetensors", flip_test=True)
        untrained.safetensors, flip test on...
        >>> sorted(scores["digits-test"])
        ['data', 'ece', 'images', 'nll', 'top1', 'top5']
    """
    from rich.console import Console
    from rich.markup import escape

    if samples:
        check_samples_path(samples)
    if gallery:
        check_gallery_path(gallery)
    evaluation = open_evaluation(recipe, weights, device)
    galleries = gallery_files(gallery, evaluation) if gallery else {}
    for file in filter(None, (out, samples, *galleries.values())):
        refuse_own_input(file, *evaluation.read_files, *exported)
        refuse_unwritable(file)
    if pictures:
        refuse_unwritable(pictures / "confusion.png")
    networks: dict[str, Network | None] = {"": None}
    for name, path in zip(names_of(exported), exported, strict=True):
        networks[f", {name}"] = open_exported_of(path, evaluation.trained.description)
    console = Console()
    accounts: dict[str, Score] = {}
    scores: dict[str, Scores] = {}
    with progress_bar(console) as progress:
        for (name, store), (ending, run_file) in product(evaluation.stores.items(), networks.items()):
            bar = progress.add_task(escape(f"{store.folder.name}{ending}"), total=len(store))
            account = accounts[name + ending] = evaluation.task.score(store)
            if pictures and type(account).save_pictures is Score.save_pictures:
                raise ValueError(f"no pictures are drawn of the scores of {evaluation.task.name} (--pictures)")
            scores[name + ending] = evaluate_opened(
                evaluation,
                store,
                flip_test=flip_test,
                batch_size=batch_size,
                exported=run_file,
                advance=partial(progress.advance, bar),
                score=account,
            )
            if pictures:
                account.save_pictures(pictures, Path(name).name + ending)
    console.print(score_table(scores, f"{weights}, flip test {'on' if flip_test else 'off'}"))
    if out:
        write_record(out, evaluation, accounts, scores, flip_test)
    if samples:
        write_samples(samples, accounts)
    for name, file in galleries.items():
        save_gallery(file, evaluation, name, accounts[name], flip_test)
    return scores
