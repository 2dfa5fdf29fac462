"""How a model wants to be fed, for everything that runs one: what its crops are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cmsa.data.crops import CropSpec
from cmsa.data.store import CropStore
from cmsa.geometry.face_margins import FaceMargin, face_margin
from cmsa.models.base import BaseNetwork
from cmsa.models.description import Description
from cmsa.models.weights import describe


def crop_spec(model: BaseNetwork, padding: float) -> CropSpec:
    """How the crops are cut that a model is fed with; ``padding`` where the model does not say it."""
    given = {name: value for name, value in describe(model).crop.items() if name != "margin"}
    return CropSpec.for_evaluation(model.input_size, **{"padding": padding} | given)


def face_margin_of(model: BaseNetwork) -> FaceMargin:
    """How far a crop reaches beyond the box of a face, before ``crop_spec`` extends it."""
    return face_margin(describe(model).crop.get("margin", "none"))


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


def check_crop(spec: CropSpec, description: Description, where: str, remedy: str) -> None:
    """Crops must be cut as those that a model was trained with.

    The margin of a face may differ: the protocols have another one for each data set.

    Raises:
        ValueError: padding, convention or antialiasing are others than the description says; ``where`` is named.
    """
    cut = {"padding": spec.padding, "convention": spec.convention, "antialias": spec.antialias}
    differing = {key: value for key, value in cut.items() if description.crop.get(key, value) != value}
    if differing:
        trained = {key: description.crop[key] for key in differing}
        raise ValueError(f"{where}: was cut with {differing}, the model was trained with {trained}: {remedy}")


def check_alike(stores: Sequence[CropStore]) -> None:
    """Stores of one recipe must number their classes alike and mean the same by their keypoints.

    Raises:
        ValueError: they do not; two of them are named with what differs.
    """
    for store in stores[1:]:
        for what in ("classes", "keypoints"):
            here, there = (_meaning(which, what) for which in (store, stores[0]))
            if here and there and here != there:
                raise ValueError(
                    f"{store.folder}: has other {what} than {stores[0].folder}: {_difference(here, there)}; "
                    "prepare both from data that name the same ones"
                )


def _meaning(store: CropStore, what: str) -> tuple[str, ...]:
    """The names of a store's classes or keypoints, empty where it does not say."""
    entries = store.meta.get(what, ())
    return tuple(entries.get("names", ()) if isinstance(entries, dict) else entries)


def _difference(here: tuple[str, ...], there: tuple[str, ...]) -> str:
    if len(here) != len(there):
        return f"{len(here)} against {len(there)}"
    place = next(index for index, names in enumerate(zip(here, there, strict=True)) if names[0] != names[1])
    return f"number {place} is {here[place]!r} against {there[place]!r}"


def open_for_evaluation(folder: str | Path, description: Description) -> CropStore:
    """Open a store whose crops are exactly what a model takes.

    Raises:
        StoreError: there is none, or it is damaged.
        ValueError: its crops were cut for another task or size, for training, or otherwise than the model's, or its
            classes or keypoints are not the model's.
    """
    store = open_store(folder, description.task)
    spec = store.spec
    if spec.size != description.input_size or spec.store_size != spec.size:
        kept = f"{spec.store_size} for inputs of {spec.size}"
        raise ValueError(
            f"{folder}: holds crops of {kept} (HxW), the model takes {description.input_size}: "
            "prepare it again with --for evaluate and that size"
        )
    check_crop(spec, description, str(folder), "prepare it again")
    for what in ("classes", "keypoints"):
        here = _meaning(store, what)
        if here and description.names and here != description.names:
            told = f"{folder}: its {len(here)} {what} are not the model's {len(description.names)}"
            as_many = len(here) == len(description.names)
            raise ValueError(f"{told}: {_difference(here, description.names)}" if as_many else told)
    return store
