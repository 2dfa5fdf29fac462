"""The network a recipe starts from, and what its weights will say of themselves."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import torch

from cmsa.data.store import CropStore
from cmsa.guidance.counts import count_of
from cmsa.models.base import BaseNetwork
from cmsa.models.create import create_model, load_weights
from cmsa.models.description import Description
from cmsa.models.grow import can_grow, grow
from cmsa.models.network import CMSA
from cmsa.models.pretrained import find_weights
from cmsa.models.variants import VARIANTS
from cmsa.models.weights import initialise, read_description
from cmsa.runtime.feeding import check_crop
from cmsa.tasks import task_named
from cmsa.training.recipe import Recipe
from cmsa.training.recipe_checks import leaves

logger = logging.getLogger(__name__)

OF_TASKS = frozenset(
    ("codec", "loss", "sigma", "keypoints", "alpha", "label_smoothing", "augment.mixup", "augment.cutmix")
)
"""Entries of a recipe that some tasks read, see ``Task.entries``."""


def check_entries(recipe: Recipe) -> None:
    """Refuse what the recipe says and its task does not read: it would change nothing.

    Raises:
        ValueError: there is such an entry, or no such task.
    """
    task, unsaid = task_named(recipe.model.task), dict(leaves(Recipe()))
    said = {name for name, value in leaves(recipe) if name in OF_TASKS and value != unsaid[name]}
    if task.entries is not None and (idle := sorted(said - task.entries)):
        raise ValueError(f"{', '.join(idle)}: not of the task {task.name}")


def check_model(recipe: Recipe) -> None:
    """Find out before stores are made, which takes long, that there is no such model.

    Raises:
        ValueError: there is no such model or option of one.
        FileNotFoundError: there are no such initial weights.
    """
    model = recipe.model
    create_model(model.name, model.task, model.size, **model.all_options)
    if model.init:
        find_weights(model.init)


def build_network(recipe: Recipe, options: dict[str, Any] | None = None) -> BaseNetwork:
    """The recipe's network, from its initial weights where it names any.

    Args:
        recipe: what to train.
        options: replace those of the recipe's model, where the data decide about them.
    """
    model = recipe.model
    chosen = model.all_options if options is None else options
    network = create_model(model.name, model.task, model.size, **chosen)
    start = getattr(network.head, "start_with_logits", None)
    if recipe.loss == "cross_entropy" and callable(start):
        start()
    freeze_unused(network)
    if model.init:
        start_from(network, find_weights(model.init))
    return network


def start_from(network: BaseNetwork, path: Path) -> None:
    """Start from a weights file: grow from that of a smaller CMSA, else take the tensors that fit; others are told.

    Raises:
        ValueError: nothing fits, or it is not a weights file.
        FileNotFoundError: there is no such file.
    """
    if isinstance(network, CMSA) and read_description(path).name in VARIANTS:
        small = load_weights(path)
        if isinstance(small, CMSA) and can_grow(network, small):
            grow(network, small)
            logger.warning("%s is of a smaller network, and this one is grown from it", path)
            return
    left = initialise(network, path)
    if left:
        parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in left))
        tensors = len(network.state_dict())
        told = f"{tensors - len(left)} of {count_of(tensors, 'tensor')} are taken over; the others, in {parts}"
        logger.warning("%s: %s, begin anew", path, told)


def freeze_unused(network: BaseNetwork) -> list[str]:
    """Freeze, in place, the parameters that the output does not depend on, and give their names.

    HRNet's last exchange between resolutions has such parameters where a head reads one map only. Several processes
    (DistributedDataParallel) would wait for their gradients.
    """
    trial = copy.deepcopy(network).train()
    parameters = {name: value for name, value in trial.named_parameters() if value.requires_grad}
    with torch.random.fork_rng(devices=[]):
        output = trial(torch.zeros(2, 3, *network.input_size))
    gradients = torch.autograd.grad(output.sum(), list(parameters.values()), allow_unused=True)
    unused = [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None]
    for name in unused:
        network.get_parameter(name).requires_grad_(False)
    return unused


def check_start(recipe: Recipe, store: CropStore) -> None:
    """The weights to start from must have seen crops like the store's, if they were trained for the same task.

    Raises:
        ValueError: the padding, the convention or the antialiasing of the crops is another.
    """
    start = read_description(find_weights(str(recipe.model.init)))
    if start.task == recipe.model.task:
        remedy = f"prepare it as for {recipe.model.init}, or start from other weights (model.init)"
        check_crop(store.spec, start, str(store.folder), remedy)


def check_antialiasing(recipe: Recipe, store: CropStore) -> None:
    """The store's crops must be averaged, or sampled, where the recipe says which.

    Raises:
        ValueError: they are not.
    """
    wanted, found = recipe.data.antialias, store.spec.antialias
    if wanted not in (None, found):
        raise ValueError(
            f"{store.folder}: crops are {'averaged' if found else 'sampled bilinearly'}, the recipe "
            f"{f'(protocol {recipe.protocol}) ' if recipe.protocol else ''}says data.antialias {str(wanted).lower()}: "
            f"prepare it {'without' if wanted else 'with'} --no-antialias, or set the entry"
        )


def description_of(recipe: Recipe, store: CropStore) -> Description:
    """What the recipe's weights will say of themselves; ``options`` are completed by ``create_model``.

    Raises:
        ValueError: store and recipe do not fit, or the recipe says what its task does not read.
    """
    model, spec = recipe.model, store.spec
    crop = {"padding": spec.padding, "convention": spec.convention, "antialias": spec.antialias}
    plain = Description(model.name, model.task, model.size, options=model.all_options, crop=crop)
    check_entries(recipe)
    return task_named(model.task).describe(plain, recipe.to_dict(), store)
