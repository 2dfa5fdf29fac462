from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from tiny_people import SIZE, people_store, tiny_weights, write_people

from cmsa.benchmark.accuracy import benchmark_accuracy, score_contender
from cmsa.cli.main import main


@pytest.fixture
def people(tmp_path: Path) -> tuple[Path, Path]:
    return write_people(tmp_path, pictures=5)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_weights(tmp_path / "tiny.safetensors")


def test_one_that_knows_the_truth_scores_one_and_one_that_guesses_less(people, tmp_path):
    store = people_store(tmp_path, "known.crops", training=False)
    matrix, truth = store.labels["matrix"], store.labels["keypoints"][..., :2]
    inside = np.einsum("nij,nkj->nki", matrix[:, :, :2], truth) + matrix[:, None, :, 2]
    right = score_contender("right", SIZE, lambda crops: (inside, np.ones(inside.shape[:2])), store, False)
    np.testing.assert_allclose(right.AP, 1)
    assert (right.low, right.high) == pytest.approx((1, 1))
    np.testing.assert_allclose(right.PCK, 1)
    assert right.people == 10
    middle = np.broadcast_to(np.array([5.5, 7.5]), inside.shape)
    wrong = score_contender("wrong", SIZE, lambda crops: (middle, np.ones(inside.shape[:2])), store, False)
    assert wrong.AP < 0.1
    assert wrong.PCK < 0.5


def test_table_and_file(people, weights, tmp_path, capsys):
    annotations, images = people
    arguments = ["benchmark", "accuracy", "--annotations", str(annotations), "--images", str(images)]
    arguments += [
        "--weights",
        str(weights),
        "--sizes",
        "16x12",
        "32x24",
        "--threads",
        "1",
        "--out",
        str(tmp_path / "b"),
    ]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "people of 32x24 pixels" in shown
    content = json.loads((tmp_path / "b" / "accuracy.json").read_text())
    assert [row["resolution"] for row in content["rows"]] == [[16, 12], [32, 24]]
    assert all(row["people"] == 10 and row["low"] <= row["AP"] + 1e-9 for row in content["rows"])
    assert content["conditions"]["boxes"] == "ground truth"
    assert (tmp_path / "b" / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_annotations_are_asked_for(capsys):
    assert main(["benchmark", "accuracy"]) == 2
    assert "--annotations is required for the accuracy benchmark" in capsys.readouterr().err


@pytest.mark.shared
def test_a_known_peer_scores_what_is_published_for_it(shared, tmp_path):
    """PP-TinyPose at 128x96, enlarged from 32x24, on 49 people: 37.5 on these and 19 others."""
    pytest.importorskip("openvino")
    folder = shared / "data" / "coco-mini"
    rows = benchmark_accuracy(
        folder / "annotations" / "person_keypoints_val2017.json",
        folder / "val2017",
        weights=(),
        peers=[shared / "models" / "tinypose_128_96.xml"],
        sizes=[(32, 24)],
        threads=1,
    )
    assert rows[0].people == 49
    assert 0.34 < rows[0].AP < 0.44
    assert not math.isnan(rows[0].PCK)
