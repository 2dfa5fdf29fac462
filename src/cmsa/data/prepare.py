"""A data set -> a packed store of crops, the same way for every data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmsa.data.datasets import DataSet, data_set
from cmsa.data.problems import Problems
from cmsa.data.samples import sources_of
from cmsa.data.store import CropStore
from cmsa.data.store_writer import build_store
from cmsa.geometry.crops import CropConvention

OPTIONS = ("images", "annotations", "detections", "category", "keypoints", "margin", "flips", "boxes")
"""What a reader may ask for, and ``cmsa prepare`` can be given."""

UNUSABLE = "picture that cannot be used"


def prepare(
    name: str,
    out: Path,
    *,
    training: bool,
    size: tuple[int, int] | None = None,
    density: float | None = None,
    convention: CropConvention = "pixel",
    antialias: bool = True,
    workers: int = 0,
    progress: bool = True,
    **options: Any,
) -> CropStore:
    """Cut a data set. Regions are extended to the aspect of ``size`` with black, never stretched.

    Args:
        name: of a data set, see ``cmsa.data.datasets``.
        out: the store's folder.
        training: the training part, with room for the strongest augmentation; otherwise exactly what is evaluated.
        size: (H, W) of the network's input; by default the data set's usual one.
        density: stored pixels per input pixel, for training; see ``CropSpec.for_training``.
        convention: of the crop, see ``crop_affine``.
        antialias: area-averaged crops; False for the reference codes' bilinear warp.
        workers: threads that decode pictures.
        progress: show a progress bar and what was left out, of the pictures of a store that was there already too.
        options: of the reader; None stands for what was not given.

    Raises:
        ValueError: there is no such data set, an option is missing or means nothing for it, or the data cannot be
            used at all. What is merely wrong with them is listed and left out.
        StoreError: ``out`` holds something else, or too many pictures cannot be read.

    Examples:
        >>> from pathlib import Path
        >>> store = prepare("digits", Path("digits-val.crops"), training=False, progress=False)
        >>> len(store), store.crops.shape[1:], store.meta["task"]
        (359, (16, 16, 3), 'classification')
    """
    row = data_set(name)
    found = row.read(training=training, **checked_options(name, row, options))
    spec = row.framing.spec(
        size or row.size, training=training, density=density, convention=convention, antialias=antialias
    )
    sources = sources_of(found.samples, spec)
    if progress:
        _show(found.problems)
    meta = {"task": row.task, "data": name} | dict(found.meta)
    store = build_store(out, sources, spec, meta=meta, truth=dict(found.truth), workers=workers, progress=progress)
    if progress:
        _show(Problems({UNUSABLE: [entry["problem"] for entry in store.meta.get("unreadable", [])]}))
    return store


def checked_options(name: str, row: DataSet, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a reader that were given.

    Raises:
        ValueError: one is missing, or means nothing for the data set.
    """
    given = {option: value for option, value in options.items() if value is not None}
    for option in row.required:
        if option not in given:
            raise ValueError(f"--{option} is required for --dataset {name}")
    for option in given:
        if option not in row.required + row.optional:
            fitting = ", ".join(f"--{_flag(known)}" for known in row.required + row.optional) or "none"
            raise ValueError(f"--{_flag(option)} means nothing for --dataset {name}, which takes {fitting}")
    return given


def _flag(option: str) -> str:
    return "no-flips" if option == "flips" else option


def _show(problems: Problems) -> None:
    if problems.rows():
        from rich import print as show

        show(problems)
