"""Weights and a data set -> a table of scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cmsa.data.augment import invert, normalize, to_images, transform_points
from cmsa.data.batches import store_loader
from cmsa.data.store import CropStore
from cmsa.models.create import load_weights
from cmsa.models.description import Description
from cmsa.models.fuse import fuse
from cmsa.models.windows import ceil_divide
from cmsa.pretrained import find_weights
from cmsa.recipe import Recipe
from cmsa.tasks.described import head_pose_task, pose_task
from cmsa.tasks.head_pose import HeadPoseTask
from cmsa.tasks.oks import coco_results, evaluate_keypoints, oks_nms, pck, rescore
from cmsa.tasks.pose import PoseTask

AnyTask = PoseTask | HeadPoseTask
NMS_THRESHOLD = 0.9


class PoseScore:
    """Collects predicted keypoints of an evaluation store and scores them.

    Args:
        task: decodes heatmaps.
        store: what is evaluated; its ``meta`` names the annotations and the boxes' source.
        annotations: the annotations, where they have moved.
    """

    def __init__(self, task: PoseTask, store: CropStore, annotations: Path | None = None) -> None:
        self.task, self.store = task, store
        self.annotations = Path(annotations or store.meta["annotations"])
        self.box_source = str(store.meta.get("box_source", "ground truth"))
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self.batches: list[dict[str, Tensor]] = []

    def update(self, batch: Mapping[str, Tensor], output: Tensor) -> None:
        """Take the network's output for a batch of the store."""
        xy, scores = self.task.decode(output)
        picture = transform_points(xy, invert(batch["matrix"].float()))
        kept = {name: batch[name] for name in ("image_id", "keypoints", "area", "score", "box")}
        self.batches.append({name: value.cpu() for name, value in (kept | {"xy": picture, "scores": scores}).items()})

    def compute(self) -> dict[str, Any]:
        """AP, AP50, AP75, APM, APL, AR (OKS), PCK@0.2 by the torso, people, and where the boxes came from."""
        collected = {
            name: torch.cat([batch[name] for batch in self.batches]).double().numpy() for name in self.batches[0]
        }
        detected = self.box_source != "ground truth"
        results = self.results(collected, suppress=detected)
        table: dict[str, Any] = dict(evaluate_keypoints(self.annotations, results, self.task.keypoint_set))
        if not detected:
            truth = collected["keypoints"]
            table["PCK@0.2"] = pck(collected["xy"], truth[..., :2], truth[..., 2] > 0).mean
        return table | {"boxes": self.box_source, "crops": len(collected["xy"])}

    def results(self, collected: dict[str, np.ndarray[Any, Any]], *, suppress: bool) -> list[dict[str, Any]]:
        """COCO results; OKS-NMS at 0.9 where boxes were detected and may repeat a person."""
        image_ids = collected["image_id"].astype(np.int64)
        scores = rescore(collected["scores"], collected["score"])
        kept = np.arange(len(image_ids))
        if suppress:
            areas = collected["box"][:, 2] * collected["box"][:, 3]
            groups = [np.flatnonzero(image_ids == image) for image in np.unique(image_ids)]
            kept = np.concatenate(
                [
                    group[oks_nms(collected["xy"][group], scores[group], areas[group], self.sigmas, NMS_THRESHOLD)]
                    for group in groups
                ]
            )
        return coco_results(image_ids[kept].tolist(), collected["xy"][kept], collected["scores"][kept], scores[kept])

    @property
    def sigmas(self) -> tuple[float, ...]:
        """OKS sigmas of the keypoint set."""
        return self.task.keypoint_set.sigmas


class HeadPoseScore:
    """Errors of predicted angles over an evaluation store."""

    def __init__(self, task: HeadPoseTask, store: CropStore) -> None:
        self.task, self.store = task, store
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self.errors = self.task.metrics()

    def update(self, batch: Mapping[str, Tensor], output: Tensor) -> None:
        """Take the network's output for a batch of the store."""
        self.errors.update(self.task.decode(output).cpu(), batch["angles"].cpu())

    def compute(self) -> dict[str, Any]:
        """MAE per angle and mean, geodesic error, error by yaw bucket, and where the boxes came from."""
        return dict(self.errors.compute()) | {"boxes": self.store.meta.get("box_source", "unknown")}


Score = PoseScore | HeadPoseScore


def task_of(description: Description, heatmap_size: tuple[int, int]) -> AnyTask:
    """The task that decodes a model's output."""
    if description.task == "pose":
        return pose_task(description, heatmap_size)
    if description.task == "head_pose":
        return head_pose_task(description)
    raise ValueError(f"no evaluation for task {description.task!r}")


def score_of(task: AnyTask, store: CropStore) -> Score:
    """An empty account of scores for a store."""
    return PoseScore(task, store) if isinstance(task, PoseTask) else HeadPoseScore(task, store)


@torch.inference_mode()
def evaluate_store(
    network: nn.Module | Callable[[Tensor], Tensor],
    task: AnyTask,
    store: CropStore,
    *,
    flip_test: bool = False,
    batch_size: int = 64,
    device: str = "cpu",
    advance: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Score a network on an evaluation store.

    Args:
        network: images (B, 3, H, W) -> output; in eval mode.
        task: decodes the output.
        store: crops cut for evaluation.
        flip_test: average with the mirrored image (pose).
        batch_size: crops at a time; the result does not depend on it.
        device: where the network is.
        advance: told the number of crops done, for a progress bar.
    """
    score = score_of(task, store)
    for batch in store_loader([store], batch_size, training=False):
        images = normalize(to_images(batch["crops"].to(device)))
        output = task.predict(network, images, flip_test) if isinstance(task, PoseTask) else network(images)
        score.update(batch, output.cpu())
        advance(len(images))
    return score.compute()


def evaluate_recipe(
    recipe: Recipe, weights: str, *, flip_test: bool = False, out: Path | None = None, batch_size: int = 64
) -> dict[str, dict[str, Any]]:
    """Score weights on the validation stores of a recipe, print one table, and write JSON where asked.

    Args:
        recipe: its ``data.validate`` is scored.
        weights: a shipped name, a weights file, a folder or a hub id.
        flip_test: average with the mirrored image (pose).
        out: JSON file to write.
        batch_size: crops at a time.

    Returns:
        Scores by store.

    Raises:
        ValueError: the recipe names no validation store, or the stores were cut for another input size.
    """
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    if not recipe.data.validate:
        raise ValueError("the recipe names no store in data.validate")
    network = load_weights(find_weights(weights))
    height, width = network.input_size
    heatmap_size = (ceil_divide(height, network.reduction), ceil_divide(width, network.reduction))
    task = task_of(network.description, heatmap_size)
    console, scores = Console(), {}
    with Progress(console=console, transient=True) as progress:
        for folder in recipe.data.validate:
            store = CropStore.open(Path(folder))
            if store.spec.size != network.input_size:
                raise ValueError(
                    f"{folder} was cut at {store.spec.size} (HxW), {weights} takes {network.input_size}: "
                    "prepare it again"
                )
            bar = progress.add_task(store.folder.name, total=len(store))
            scores[store.folder.stem] = evaluate_store(
                fuse(network),
                task,
                store,
                flip_test=flip_test,
                batch_size=batch_size,
                advance=lambda count, bar=bar: progress.advance(bar, count),
            )
    table = Table(
        "data set", *next(iter(scores.values())), title=f"{weights}, flip test {'on' if flip_test else 'off'}"
    )
    for name, row in scores.items():
        table.add_row(name, *(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)
    if out:
        content = {"weights": weights, "flip_test": flip_test, "scores": scores}
        out.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return scores
