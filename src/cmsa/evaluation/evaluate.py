"""Weights and a data set -> a table of scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cmsa.data.loader import store_loader
from cmsa.data.store import CropStore
from cmsa.data.transforms.augment import normalize, to_images
from cmsa.export.formats import read_constants
from cmsa.models.create import load_weights
from cmsa.models.description import Description
from cmsa.models.fuse import fuse
from cmsa.models.pretrained import find_weights
from cmsa.runtime.feeding import heatmap_size
from cmsa.runtime.sessions import RuntimeNetwork, open_exported
from cmsa.tasks.described import AnyTask, task_of
from cmsa.tasks.outputs import Network
from cmsa.tasks.scores import ClassificationScore, Score, score_of
from cmsa.training.recipe import Recipe
from cmsa.visualization.confusion import save_confusion

if TYPE_CHECKING:
    from rich.table import Table

Scores = dict[str, Any]


def open_store(folder: str | Path, task: str) -> CropStore:
    """Open a store of a task.

    Raises:
        StoreError: there is none, or it is damaged.
        ValueError: it was made for another task.
    """
    store = CropStore.open(folder)
    made_for = store.meta.get("task", task)
    if made_for != task:
        raise ValueError(f"{folder}: holds crops for {made_for}, not for {task}")
    return store


def open_for_evaluation(folder: str | Path, description: Description) -> CropStore:
    """Open a store whose crops are exactly what a model takes.

    Raises:
        StoreError: there is none, or it is damaged.
        ValueError: its crops were cut for another task or size, for training, or by another convention.
    """
    store = open_store(folder, description.task)
    spec = store.spec
    if spec.size != description.input_size or spec.store_size != spec.size:
        kept = f"{spec.store_size} for inputs of {spec.size}"
        raise ValueError(
            f"{folder}: holds crops of {kept} (HxW), the model takes {description.input_size}: "
            "prepare it again with --for evaluate and that size"
        )
    # The margin of a face is not among them: the protocols have another one for each data set.
    cut = {"padding": spec.padding, "convention": spec.convention}
    differing = {key: value for key, value in cut.items() if description.crop.get(key, value) != value}
    if differing:
        trained = {key: description.crop[key] for key in differing}
        raise ValueError(f"{folder}: was cut with {differing}, the model was trained with {trained}: prepare it again")
    classes = tuple(store.meta.get("classes", ()))
    if description.task == "classification" and description.names and classes != description.names:
        raise ValueError(f"{folder}: its {len(classes)} classes are not the model's {len(description.names)}")
    return store


def open_for_scoring(path: Path, description: Description) -> RuntimeNetwork:
    """Open an exported file that puts out what a model puts out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of another model, or normalises or decodes by itself.
    """
    entries = read_constants(path)
    there, here = (
        f"{model['name']} for {model['task']} at {'x'.join(map(str, model['input_size']))}"
        for model in (entries["model"], asdict(description))
    )
    if there != here:
        raise ValueError(f"{path}: was exported from {there}, the weights are {here}")
    if entries["decoded_in_graph"] or entries["input"]["normalised_in_graph"]:
        raise ValueError(f"{path}: was exported with --normalise or --decode; export it without them to score it")
    return open_exported(path)


def store_names(stores: Sequence[CropStore]) -> list[str]:
    """What to call stores in tables and logs: their folders' names, with as much of the path as tells them apart."""
    return names_of([store.folder.with_suffix("") for store in stores])


def names_of(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or the whole of it where several end alike."""
    names = [path.name for path in paths]
    return [name if names.count(name) == 1 else path.as_posix() for name, path in zip(names, paths, strict=True)]


@torch.inference_mode()
def evaluate_store(
    network: Network,
    task: AnyTask,
    store: CropStore,
    *,
    flip_test: bool = False,
    batch_size: int = 64,
    device: str = "cpu",
    advance: Callable[[int], None] = lambda count: None,
    score: Score | None = None,
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
    """
    score = score or score_of(task, store)
    for batch in store_loader([store], batch_size, training=False):
        images = normalize(to_images(batch["crops"].to(device)))
        output = network(images).cpu()
        score.update(batch, output, network(images.flip(3)).cpu() if flip_test else None)
        advance(len(images))
    return score.compute()


def evaluate_recipe(
    recipe: Recipe,
    weights: str,
    *,
    flip_test: bool = False,
    out: Path | None = None,
    batch_size: int = 64,
    device: str = "cpu",
    pictures: Path | None = None,
    exported: Sequence[Path] = (),
) -> dict[str, Scores]:
    """Score weights on the validation stores of a recipe, print one table, and write JSON where asked.

    Args:
        recipe: its ``data.validate`` is scored.
        weights: a shipped name, a weights file, a folder or a hub id.
        flip_test: average with the mirrored image.
        out: JSON file to write.
        batch_size: crops at a time.
        device: where to run, e.g. ``cpu`` or ``cuda``.
        pictures: folder for a confusion matrix of each store (classification).
        exported: files of ``cmsa export`` to score as well, e.g. to see what int8 costs.

    Returns:
        Scores by store, and by store and file.

    Raises:
        FileNotFoundError: there are no such weights, or no such file.
        StoreError: a store is missing or damaged.
        ValueError: the recipe names no validation store, or a store or a file does not fit the weights.
    """
    from rich.console import Console
    from rich.progress import Progress

    if not recipe.data.validate:
        raise ValueError("the recipe names no store in data.validate")
    network = load_weights(find_weights(weights))
    task = task_of(network.description, heatmap_size(network))
    stores = [open_for_evaluation(folder, network.description) for folder in recipe.data.validate]
    networks: dict[str, Network] = {"": fuse(network).to(device)}
    for name, path in zip(names_of(exported), exported, strict=True):
        networks[f", {name}"] = open_for_scoring(path, network.description)
    console, scores = Console(), {}
    with Progress(console=console, transient=True) as progress:
        for (name, store), (ending, run) in product(zip(store_names(stores), stores, strict=True), networks.items()):
            bar = progress.add_task(f"{store.folder.name}{ending}", total=len(store))
            score = score_of(task, store)
            scores[name + ending] = evaluate_store(
                run,
                task,
                store,
                flip_test=flip_test,
                batch_size=batch_size,
                device="cpu" if ending else device,
                advance=partial(progress.advance, bar),
                score=score,
            )
            if pictures and isinstance(score, ClassificationScore):
                pictures.mkdir(parents=True, exist_ok=True)
                confusion, classes = score.errors.confusion.numpy(), store.meta["classes"]
                picture = f"{Path(name).name}{ending.replace('/', '_')}.png"
                save_confusion(pictures / picture, confusion, classes, name + ending)
    console.print(score_table(scores, f"{weights}, flip test {'on' if flip_test else 'off'}"))
    if out:
        content = {"weights": weights, "flip_test": flip_test, "scores": scores}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return scores


def score_table(scores: Mapping[str, Scores], title: str) -> Table:
    """A table with a row for each score and a column for each data set, narrow enough for 80 characters."""
    from rich.table import Column, Table

    columns = (Column(name, justify="right", overflow="fold") for name in scores)
    table = Table("", *columns, title=title, title_justify="left")
    for key in dict.fromkeys(key for row in scores.values() for key in row):
        table.add_row(key, *(_shown(row.get(key, "")) for row in scores.values()))
    return table


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() and value > 1 else f"{value:.4f}"
