"""What ``cmsa evaluate`` left in a run's folder, for the report: curves of robustness, and galleries.

``--robustness --out RUN`` writes ``robustness.json``, ``--gallery RUN/gallery`` a picture for each store. Of several
runs of a cell the first one's gallery is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cmsa.evaluation.robustness import ROBUSTNESS
from cmsa.experiments.figures import Steps, plot_robustness
from cmsa.experiments.looks import Look
from cmsa.experiments.page import Figure, Photo, Section
from cmsa.experiments.published_rows import percent_of, with_unit
from cmsa.experiments.runs import Run
from cmsa.files.read_json import expecting, read_json

GALLERY = "gallery"


def robustness_section(task: str, cells: Mapping[str, Sequence[Run]], looks: Mapping[str, Look]) -> Section:
    """The score of the first store scored over each disturbance's strength, a line for each cell: the mean of its runs.

    Raises:
        ValueError: a file is none of ``cmsa evaluate --robustness``.
    """
    title = f"{task}: robustness"
    files = {name: [run.folder / ROBUSTNESS for run in runs] for name, runs in cells.items()}
    found = {name: [_curves(file) for file in paths if file.is_file()] for name, paths in files.items()}
    found = {name: runs for name, runs in found.items() if runs}
    if not found:
        return Section(title, _wanted(cells, "--robustness --out {run}"))
    panels: dict[str, dict[str, Steps]] = {}
    scores = {score for runs in found.values() for score, _, _ in runs}
    stores = {store for runs in found.values() for _, store, _ in runs}
    for name, runs in found.items():
        for kind, (steps, _) in runs[0][2].items():
            values = [curves[kind][1] for _, _, curves in runs if curves.get(kind, ([],))[0] == steps]
            panels.setdefault(kind, {})[name] = steps, (percent_of(task) * np.mean(values, axis=0)).tolist()
    told = "the mean of the runs that were scored; the first point is the plain crop."
    text = f"Of {' and '.join(sorted(stores))}, {told}"
    score = ", ".join(sorted(scores))
    plot = plot_robustness(panels, with_unit(score, task), looks)
    return Section(title, text, [Figure(f"{task}-robustness", f"{score} over the strength of disturbances", plot)])


def gallery_section(task: str, cells: Mapping[str, Sequence[Run]]) -> Section:
    """The best, the median and the worst cases, of one run of each cell."""
    title = f"{task}: best, median and worst"
    photos: list[Photo] = []
    for name, runs in cells.items():
        places = [sorted((run.folder / GALLERY).glob("*.png")) for run in runs]
        for place in next((pictures for pictures in places if pictures), []):
            photos.append(Photo(f"{task}-gallery-{len(photos) + 1}", f"{name}: {place.stem}", place.read_bytes()))
    if not photos:
        return Section(title, _wanted(cells, "--gallery {run}/gallery"))
    return Section(title, "Truth at left, prediction at right; the worst come with the worst first.", photos=photos)


def _wanted(cells: Mapping[str, Sequence[Run]], options: str) -> str:
    run = next(run.folder for runs in cells.values() for run in runs)
    command = f"cmsa evaluate {run}/recipe.yaml --weights {run}/last.safetensors {options.format(run=run)}"
    return f"No run has been scored so. Of the first run: {command}"


def _curves(file: Path) -> tuple[str, str, dict[str, Steps]]:
    """Which score it is, of which store, the first, and by disturbance the strengths and the scores."""
    content = read_json(file)
    with expecting(f"{ROBUSTNESS} of cmsa evaluate --robustness", file):
        score, rows = str(content["score"]), content["rows"]
        curves: dict[str, tuple[list[str], list[float]]] = {}
        store = str(rows[0]["store"])
        for row in rows:
            if row["store"] == store:
                steps, values = curves.setdefault(f"{row['disturbance']}: {row['unit']}", ([], []))
                steps.append("none" if row["strength"] is None else f"{row['strength']:g}")
                values.append(float(row["scores"][score]))
    return score, store, dict(curves)
