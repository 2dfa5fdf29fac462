import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_people import people_store, write_people
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.geometry.affine import apply_affine
from cmsa.metrics.keypoints import PoseScore
from cmsa.structures import COCO
from cmsa.tasks.pose.task import PoseTask

SIZE = (64, 48)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_people(folder)
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> CropStore:
    return people_store(folder, "val.crops", training=False, size=SIZE)


@pytest.fixture(scope="module")
def task() -> PoseTask:
    return PoseTask(SIZE, SIZE)


def answers(task: PoseTask, store: CropStore, rows: slice = slice(None)) -> tuple[dict[str, Tensor], Tensor]:
    """A batch, and the heatmaps of a network that knows everything."""
    batch = store.read(rows)
    moved = batch | {"matrices": batch["matrix"], "flipped": torch.zeros(len(batch["crops"]), dtype=torch.bool)}
    return batch, task.encode(moved)["heatmaps"]


def test_what_is_right_scores_one(task: PoseTask, store: CropStore) -> None:
    score = task.score(store)
    batch, heatmaps = answers(task, store)
    score.update(batch, task.decode(heatmaps))
    table = score.compute()
    assert [table[name] for name in ("AP", "AP50", "AR", "PCK@0.2")] == pytest.approx([1, 1, 1, 1])
    assert (table["people"], table["crops"], table["boxes"]) == (8, 8, "ground truth")
    # All people are of medium size: 1,350 square pixels.
    assert (table["APM"], table["APL"]) == (pytest.approx(1), -1)
    # By these names a sweep knows what will be measured.
    numbers = {name for name, value in table.items() if isinstance(value, float)}
    assert numbers == set(task.scores) - {"PCK@0.2 of the box's diagonal"}


def test_half_of_the_people_right(task: PoseTask, store: CropStore) -> None:
    score = task.score(store)
    batch, heatmaps = answers(task, store)
    # The second person of each picture is sought in a corner, by a network that is unsure there.
    corner = torch.zeros(SIZE)
    corner[0, 0] = 0.3
    heatmaps[1::2] = corner
    score.update(batch, task.decode(heatmaps))
    table = score.compute()
    # At a recall of up to one half everything is right: 51 of 101 points of the precision curve.
    assert table["AP"] == pytest.approx(51 / 101, abs=1e-6)
    assert table["AR"] == pytest.approx(0.5)
    assert 0.5 <= table["PCK@0.2"] < 0.6


def test_batches_do_not_matter(task: PoseTask, store: CropStore, generator: torch.Generator) -> None:
    batch, heatmaps = answers(task, store)
    heatmaps = heatmaps + 0.4 * torch.rand(heatmaps.shape, generator=generator)
    tables = []
    for size in (8, 3, 1):
        score = task.score(store)
        for start in range(0, 8, size):
            rows = slice(start, start + size)
            score.update({name: value[rows] for name, value in batch.items()}, task.decode(heatmaps[rows]))
        tables.append(score.compute())
    assert tables[0] == tables[1] == tables[2]
    score.reset()
    score.update(batch, task.decode(heatmaps))
    assert score.compute() == tables[0]


def test_what_is_behind_the_score(task: PoseTask, store: CropStore) -> None:
    score = task.score(store)
    batch, heatmaps = answers(task, store)
    xy, scores = task.decode(heatmaps)
    # The noses are off by as much as makes their similarity exp(-1/2): 2σ √area pixels of the picture.
    off = 2 * COCO.sigmas[0] * batch["area"].sqrt() * batch["matrix"][:, 0, 0]
    xy = xy.clone()
    xy[:, 0, 0] += off
    score.update(batch, (xy, scores))
    nose, *others = score.details()["by_keypoint"]
    assert (nose["keypoint"], nose["marked"]) == ("nose", 8)
    assert nose["OKS"] == pytest.approx(math.exp(-0.5), abs=0.02)
    assert min(point["OKS"] for point in others) > 0.99
    assert {point["PCK@0.2"] for point in others} == {1.0}
    rows = score.samples()
    assert [row["image_id"] for row in rows] == batch["image_id"].tolist()
    assert [row["oks"] for row in rows] == pytest.approx([(16 + math.exp(-0.5)) / 17] * 8, abs=0.005)
    assert [row["marked"] for row in rows] == [17] * 8
    low, high = score.intervals()["AP"]
    assert low <= score.compute()["AP"] <= high + 1e-9


def test_the_flip_test_averages(task: PoseTask, store: CropStore) -> None:
    batch, heatmaps = answers(task, store)
    mirrored = heatmaps[:, list(COCO.flip_index)].flip(3)
    score = task.score(store)
    score.update(batch, task.average(torch.zeros_like(heatmaps), mirrored))
    assert score.compute()["AP"] == pytest.approx(1)


def test_people_who_were_detected_twice_count_once(task: PoseTask, folder: Path) -> None:
    boxes = [[5, 8, 45, 60], [6, 8, 44, 60], [65, 8, 45, 60]]
    entries = [
        {"image_id": 1, "category_id": 1, "bbox": box, "score": score}
        for box, score in zip(boxes, (0.6, 0.9, 0.8), strict=True)
    ]
    (folder / "found.json").write_text(json.dumps(entries), encoding="utf-8")
    found = people_store(folder, "found.crops", training=False, size=SIZE, detections=folder / "found.json")
    annotations = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))["annotations"]
    truth = torch.tensor([annotations[index]["keypoints"] for index in (0, 0, 1)]).reshape(3, 17, 3)
    batch = found.read(slice(None))
    heatmaps = task.codec.encode(apply_affine(batch["matrix"], truth[..., :2]), torch.ones(3, 17))["heatmaps"]
    score = PoseScore(task.keypoint_set, found)
    score.update(batch, task.decode(heatmaps))
    collected = {name: value.double().numpy() for name, value in score.batches[0].items()}
    assert len(score.results(collected, suppress=False)) == 3
    kept = score.results(collected, suppress=True)
    assert sorted(round(result["score"], 1) for result in kept) == [0.8, 0.9]
    table = score.compute()
    assert table["boxes"] == "detections"
    assert "PCK@0.2" not in table
    # Nobody knows whom a detected box shows: the nearest counts.
    assert score.details() == {}
    assert [row["oks"] for row in score.samples()] == pytest.approx([1, 1, 1], abs=0.01)
    # Two people of eight were looked for, and both were found.
    assert table["AR"] == pytest.approx(0.25)


def test_sigmas_are_named_where_they_are_not_cocos(store: CropStore, task: PoseTask) -> None:
    batch, heatmaps = answers(task, store)
    for keypoints, named in ((COCO, False), (replace(COCO, sigma_source="guessed"), True)):
        score = PoseScore(keypoints, store)
        score.update(batch, task.decode(heatmaps))
        assert (score.compute().get("sigmas") == "guessed") is named


def test_pck_counts_marked_keypoints_only(store: CropStore, task: PoseTask) -> None:
    batch, heatmaps = answers(task, store)
    # The nose of everybody is unmarked, and sought in a corner.
    batch["keypoints"][:, 0, 2] = 0
    heatmaps[:, 0] = 0
    heatmaps[:, 0, 0, 0] = 1
    score = task.score(store)
    score.update(batch, task.decode(heatmaps))
    assert score.compute()["PCK@0.2"] == pytest.approx(1)
