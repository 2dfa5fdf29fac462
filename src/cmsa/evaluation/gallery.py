"""The best, the median and the worst cases of a store, drawn: truth and prediction beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from cmsa.data.store import CropStore
from cmsa.evaluation.opened import Evaluation
from cmsa.metrics.score import Score
from cmsa.visualization.annotate import annotate_crop
from cmsa.visualization.gallery import Case, draw_gallery
from cmsa.visualization.panel import Picture
from cmsa.visualization.picture_file import FORMATS, save_picture

CASES = 5
"""Of each kind."""


def check_gallery_path(place: Path) -> None:
    """Refuse what is meant for neither a picture nor a folder.

    Raises:
        ValueError: the name has another ending than a picture's, and no folder is there.
    """
    if place.suffix and place.suffix.lower() not in FORMATS and not place.is_dir():
        raise ValueError(f"{place}: a gallery is a picture, which ends in {', '.join(FORMATS)}, or a folder")


def gallery_files(place: Path, evaluation: Evaluation) -> dict[str, Path]:
    """Where the gallery of each store goes: into a folder, or for a single store into a file.

    Raises:
        ValueError: one file is named for several stores, or the task does not say which answer is better.
    """
    for store in evaluation.stores.values():
        if evaluation.task.score(store).ranked_by is None:
            raise ValueError(f"a gallery needs an order, and the task {evaluation.task.name} ranks no samples")
    if place.is_dir() or place.suffix.lower() not in FORMATS:
        return {name: place / f"{Path(name).name}.png" for name in evaluation.stores}
    if len(evaluation.stores) > 1:
        raise ValueError(f"{place}: is one file for the galleries of {len(evaluation.stores)} stores; name a folder")
    return dict.fromkeys(evaluation.stores, place)


def save_gallery(path: Path, evaluation: Evaluation, name: str, account: Score, flip_test: bool) -> None:
    """Draw the cases of one store.

    Args:
        path: picture to write.
        evaluation: what was scored.
        name: of the store.
        account: the store's, filled.
        flip_test: whether the flip test was on.
    """
    if account.ranked_by is None:
        raise ValueError(f"{name}: its account ranks no samples")
    column, better = account.ranked_by
    values = [float(row[column]) for row in account.samples()]
    rows = ranked(values, better == "max")
    chosen = [place for places in rows.values() for place in places]
    store = evaluation.stores[name]
    cases = dict(zip(chosen, _drawn(evaluation, store, chosen, flip_test), strict=True))
    shown = {
        heading: [Case(cases[place], f"{place}   {column} {values[place]:.3f}") for place in places]
        for heading, places in rows.items()
    }
    title = f"{evaluation.weights} on {Path(name).name}: truth at left, prediction at right"
    save_picture(draw_gallery(shown, title), path)


def ranked(values: Sequence[float], large_is_good: bool, count: int = CASES) -> dict[str, list[int]]:
    """Places of the best, the median and the worst values, best first; those of the worst start with the worst.

    Args:
        values: N; what is not finite has no place.
        large_is_good: whether a large value is a good one.
        count: of each kind, or fewer, so that none is shown twice; at least one where there is any.
    """
    finite = [place for place, value in enumerate(values) if math.isfinite(value)]
    order = sorted(finite, key=lambda place: -values[place] if large_is_good else values[place])
    each = min(count, max(1, len(order) // 3))
    start = (len(order) - each) // 2
    return {"best": order[:each], "median": order[start : start + each], "worst": order[::-1][:each]}


@torch.inference_mode()
def _drawn(
    evaluation: Evaluation, store: CropStore, places: Sequence[int], flip_test: bool
) -> list[tuple[Picture, Picture]]:
    """Truth and prediction of some crops."""
    task, batch = evaluation.task, store.read(places)
    images = evaluation.preprocess.to(evaluation.device)(batch["crops"].to(evaluation.device))
    decoded = tuple(part.cpu() for part in task.predict(evaluation.network, images, flip_test))
    truth, found = (task.values_in_crops(values, store.spec.size) for values in (task.truth(batch), decoded))
    crops = batch["crops"].numpy()
    return [
        (annotate_crop(crop, right, top=1), annotate_crop(crop, said))
        for crop, right, said in zip(crops, truth, found, strict=True)
    ]
