"""The network a recipe starts from, and what its weights will say of themselves."""

from __future__ import annotations

from torch import nn

from cmsa.data.store import CropStore
from cmsa.keypoints import COCO
from cmsa.models.baseline import SimpleBaseline
from cmsa.models.create import create_model, read_weights
from cmsa.models.description import Description
from cmsa.models.heads import MixerFusion
from cmsa.models.network import CMSA
from cmsa.models.resizing import fit_bias_tables
from cmsa.pretrained import find_weights
from cmsa.recipe import Recipe


def build_network(recipe: Recipe) -> nn.Module:
    """The recipe's network, from its initial weights where it names any."""
    model = recipe.model
    size = (model.input_size[0], model.input_size[1])
    if model.name == "simple_baseline_18":
        return SimpleBaseline(size, **model.options)
    network = create_model(model.name, model.task, size, **model.options)
    if recipe.loss == "cross_entropy" and isinstance(network.head, MixerFusion):
        # Logits, unlike heatmaps, are of the order of 1.
        nn.init.ones_(network.head.score.norm.weight)
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
    fit_bias_tables(network, tensors)
    fitting = {
        key: value.to(own[key].dtype) for key, value in tensors.items() if key in own and own[key].shape == value.shape
    }
    if not fitting:
        raise ValueError(f"{path}: none of its tensors fits {type(network).__name__}")
    network.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())


def describe(recipe: Recipe, store: CropStore) -> Description:
    """What the recipe's weights will say of themselves; ``options`` are completed by ``create_model``."""
    model, spec = recipe.model, store.spec
    pose = model.task == "pose"
    return Description(
        model.name,
        model.task,
        (model.input_size[0], model.input_size[1]),
        options=model.options,
        names=COCO.names if pose else ("yaw", "pitch", "roll"),
        decoding={"codec": recipe.codec, "loss": recipe.loss} if pose else {},
        crop={"padding": spec.padding, "convention": spec.convention, "antialias": spec.antialias},
    )
