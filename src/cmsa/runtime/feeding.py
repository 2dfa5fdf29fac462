"""How a model wants to be fed, for everything that runs one: what its crops are and how large its first map is."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from cmsa.data.crops import CropSpec
from cmsa.geometry.crops import BOX_PADDING
from cmsa.geometry.face_margins import FaceMargin, face_margin
from cmsa.models.description import Description
from cmsa.models.network import CMSA
from cmsa.models.windows import ceil_divide


def describe(model: CMSA) -> Description:
    """What a model says of itself, at its present input size.

    Raises:
        ValueError: the model was made without ``create_model`` and so does not say how it is fed.
    """
    description = getattr(model, "description", None)
    if not isinstance(description, Description):
        raise ValueError("the model has no description: make it with create_model or load_weights")
    return replace(description, input_size=model.input_size)


def crop_spec(model: CMSA) -> CropSpec:
    """How the crops are cut that a model is fed with."""
    description = describe(model)
    padding = BOX_PADDING if description.task == "pose" else 1.0
    given = {name: value for name, value in description.crop.items() if name != "margin"}
    return CropSpec.for_evaluation(model.input_size, **{"padding": padding} | given)


def face_margin_of(model: CMSA) -> FaceMargin:
    """How far a crop reaches beyond the box of a face, before ``crop_spec`` extends it."""
    return face_margin(describe(model).crop.get("margin", "none"))


class Reducing(Protocol):
    """A network, of ours or a baseline, that says how much smaller than its images its first map is."""

    input_size: tuple[int, int]
    reduction: int


def heatmap_size(model: Reducing) -> tuple[int, int]:
    """(h, w) of the first stage's map, which heatmaps have too."""
    height, width = model.input_size
    return ceil_divide(height, model.reduction), ceil_divide(width, model.reduction)
