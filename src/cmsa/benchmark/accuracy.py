"""Accuracy at low resolution: our weights beside other pose networks, all seeing the same few pixels of each person.

Each person is cut once at each resolution, as ``Predictor`` cuts (box enlarged by 1.25, averaged). Every network then
gets that crop resampled to its own input, so that none sees more than the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from cmsa.benchmark.accuracy_row import AccuracyRow, Size
from cmsa.benchmark.measure import machine
from cmsa.benchmark.resolution_curve import plot_resolutions
from cmsa.benchmark.written import write_rows
from cmsa.data.prepare import prepare
from cmsa.data.store import CropStore
from cmsa.geometry.affine import apply_affine, invert_affine
from cmsa.metrics.bootstrap import CONFIDENCE, RESAMPLES
from cmsa.metrics.keypoint_intervals import keypoint_intervals
from cmsa.metrics.keypoint_truth import KeypointTruth
from cmsa.metrics.oks import coco_results, evaluate_keypoints, pck_of_set, rescore
from cmsa.structures import COCO, FloatArray
from cmsa.tasks.foreign import Anchor
from cmsa.tasks.pose.foreign import ForeignOptions
from cmsa.tasks.pose.trained import open_pose

Contender = Callable[[NDArray[np.uint8]], tuple[FloatArray, FloatArray]]
"""Crops (B, h, w, 3) uint8 RGB -> keypoints (B, K, 2) in their pixels and scores (B, K)."""


def benchmark_accuracy(
    annotations: Path,
    images: Path,
    weights: Sequence[str] = ("cmsa_n_pose_32x24", "cmsa_s_pose_32x24", "cmsa_n_pose_64x48"),
    peers: Sequence[Path] = (),
    sizes: Sequence[Size] = ((16, 12), (32, 24), (64, 48), (128, 96)),
    *,
    flip_test: bool = False,
    anchor: Anchor = "corner",
    threads: int = 2,
    out: Path | None = None,
) -> list[AccuracyRow]:
    """Score networks on the people of a COCO keypoint data set at several resolutions, and show the table.

    Args:
        annotations: COCO keypoint annotations, 17 keypoints; boxes are the annotated ones.
        images: folder of the pictures.
        weights: ours, by name or file.
        peers: ONNX or OpenVINO files of other pose networks, see ``ForeignPose``.
        sizes: (H, W) to which each person is reduced.
        flip_test: average with the mirrored crop, for all networks.
        anchor: of the peers' heatmaps, see ``ForeignOptions``.
        threads: of every runtime.
        out: folder for ``accuracy.json`` and the plot ``accuracy.png``.

    Raises:
        ValueError: the anchor is unknown, or a peer's input or output is of no known kind or number of keypoints.
        FileNotFoundError: there are no such weights, or no such file.
    """
    from rich.console import Console
    from rich.progress import track

    if anchor not in get_args(Anchor):
        raise ValueError(f"anchor must be 'corner' or 'center', got {anchor!r}")
    torch.set_num_threads(threads)
    options = ForeignOptions(anchor)
    names = [*weights, *map(str, peers)]
    contenders = [contender(name, flip_test, options, threads) for name in names]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            name = f"{size[0]}x{size[1]}.crops"
            store = prepare(
                "coco",
                Path(folder) / name,
                annotations=annotations,
                images=images,
                size=size,
                training=False,
                progress=False,
            )
            for label, input_size, run in track(
                contenders, f"{size[0]}x{size[1]}", console=Console(stderr=True), transient=True
            ):
                rows.append(score_contender(label, input_size, run, store, flip_test))
    conditions = {
        "machine": machine(),
        "annotations": annotations.name,
        "boxes": "ground truth",
        "interval": f"{CONFIDENCE:.0%}, {RESAMPLES} resamples of the pictures",
    }
    show_accuracy(rows, conditions)
    if out is not None:
        write_rows(out / "accuracy.json", rows, conditions)
        if rows:
            plot_resolutions(rows, conditions, out / "accuracy.png")
    return rows


def contender(name: str | Path, flip_test: bool, options: ForeignOptions, threads: int) -> tuple[str, Size, Contender]:
    """Weights of ours or another network's file: its name, input (H, W), and what it says of crops."""
    network = open_pose(name, options, threads, len(COCO))
    return Path(name).stem, network.input_size, lambda crops: network(crops, COCO.flip_index if flip_test else None)


def score_contender(name: str, input_size: Size, run: Contender, store: CropStore, flip_test: bool) -> AccuracyRow:
    """Score a network on a store cut for evaluation at the resolution in question."""
    labels = store.labels
    found, scores = run(np.asarray(store.crops))
    picture = np.stack(
        [apply_affine(invert_affine(matrix), xy) for matrix, xy in zip(labels["matrix"], found, strict=True)]
    )
    results = coco_results(labels["image_id"].tolist(), picture, scores, rescore(scores, np.ones(len(scores))))
    truth = labels["keypoints"]
    annotated = KeypointTruth.of_store(store)
    total = evaluate_keypoints(annotated, results)
    low, high = keypoint_intervals(annotated, results)["AP"]
    _, correct = pck_of_set(picture, truth[..., :2], truth[..., 2] > 0, labels["box"], COCO)
    size = (store.spec.size[0], store.spec.size[1])
    return AccuracyRow(
        name, input_size, size, flip_test, total["AP"], low, high, total["AP50"], correct.mean, int(total["people"])
    )


def show_accuracy(rows: Sequence[AccuracyRow], conditions: Mapping[str, Any]) -> None:
    """The table, best first at each resolution."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(
        Column("network", overflow="fold"),
        "input",
        *(Column(name, justify="right", no_wrap=True) for name in ("AP", "95 %", "AP50", "PCK@0.2")),
        title=f"{conditions['annotations']}, {rows[0].people if rows else 0} people, boxes: {conditions['boxes']}, "
        f"flip test {'on' if rows and rows[0].flip_test else 'off'}",
        title_justify="left",
    )
    for size in dict.fromkeys(row.resolution for row in rows):
        table.add_section()
        table.add_row(f"people of {size[0]}x{size[1]} pixels", style="bold")
        for row in sorted((row for row in rows if row.resolution == size), key=lambda row: -row.AP):
            table.add_row(
                row.name,
                f"{row.input_size[0]}x{row.input_size[1]}",
                f"{100 * row.AP:.1f}",
                f"{100 * row.low:.1f}-{100 * row.high:.1f}",
                f"{100 * row.AP50:.1f}",
                f"{100 * row.PCK:.1f}",
            )
    Console().print(table)
