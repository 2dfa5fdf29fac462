"""The network a recipe starts from, and what its weights will say of themselves."""

from __future__ import annotations

from typing import Any

from cmsa.data.store import CropStore
from cmsa.models.baseline import BASELINES, Baseline, create_baseline
from cmsa.models.create import create_model, read_description, read_weights
from cmsa.models.description import Description
from cmsa.models.heads.heatmap import MixerFusion
from cmsa.models.network import CMSA
from cmsa.models.pretrained import find_weights
from cmsa.models.resizing import fit_bias_tables
from cmsa.runtime.feeding import check_crop
from cmsa.tasks import task_named
from cmsa.training.recipe import Recipe


def build_network(recipe: Recipe, options: dict[str, Any] | None = None) -> CMSA | Baseline:
    """The recipe's network, from its initial weights where it names any.

    Args:
        recipe: what to train.
        options: replace those of the recipe's model, where the data decide about them.
    """
    model = recipe.model
    size = (model.input_size[0], model.input_size[1])
    chosen = model.options if options is None else options
    if model.name in BASELINES:
        return create_baseline(model.name, model.task, size, **chosen)
    network = create_model(model.name, model.task, size, **chosen)
    if recipe.loss == "cross_entropy" and isinstance(network.head, MixerFusion):
        network.head.start_with_logits()
    if model.init:
        initialise(network, model.init)
    return network


def initialise(network: CMSA, path: str) -> list[str]:
    """Start from a weights file; bias tables are resized, tensors that do not fit stay as they are.

    Returns:
        The names of the tensors that stayed.

    Raises:
        ValueError: nothing fits.
    """
    tensors, _ = read_weights(find_weights(path))
    own = network.state_dict()
    # float16 weights are widened first: tables are resized in the network's own precision.
    known = {key: value.to(own[key].dtype) for key, value in tensors.items() if key in own}
    fit_bias_tables(network, known)
    fitting = {key: value for key, value in known.items() if own[key].shape == value.shape}
    if not fitting:
        raise ValueError(f"{path}: none of its tensors fits {type(network).__name__}")
    network.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())


def check_start(recipe: Recipe, store: CropStore) -> None:
    """The weights to start from must have seen crops like the store's, if they were trained for the same task.

    Raises:
        ValueError: the padding, the convention or the antialiasing of the crops is another.
    """
    start = read_description(find_weights(str(recipe.model.init)))
    if start.task == recipe.model.task:
        remedy = f"prepare it as for {recipe.model.init}, or start from other weights (model.init)"
        check_crop(store.spec, start, str(store.folder), remedy)


def describe(recipe: Recipe, store: CropStore) -> Description:
    """What the recipe's weights will say of themselves; ``options`` are completed by ``create_model``."""
    model, spec = recipe.model, store.spec
    size = (model.input_size[0], model.input_size[1])
    crop = {"padding": spec.padding, "convention": spec.convention, "antialias": spec.antialias}
    plain = Description(model.name, model.task, size, options=dict(model.options), crop=crop)
    return task_named(model.task).describe(plain, recipe.to_dict(), store)
