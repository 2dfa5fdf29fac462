"""What weights say of themselves, damaged by hand: whoever makes something of it names the file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_people import SIZE, TINY, people_store, tiny_recipe, tiny_weights, write_people

from cmsa import Predictor
from cmsa.cli.main import main
from cmsa.evaluation.opened import open_evaluation
from cmsa.models import create_model, save_weights
from cmsa.models.description import KEY
from cmsa.models.weights import read_description
from cmsa.serve.service import load_predictor
from cmsa.structures import COCO
from cmsa.tasks.pose.task import PoseTask
from cmsa.tasks.pose.trained import open_pose
from cmsa.training.recipe import TeacherRecipe
from cmsa.training.teacher import Teacher


def damage(path: Path, **changes: Any) -> Path:
    """Replace entries of what a weights file says of itself."""
    with safe_open(path, "pt") as file:
        entries = json.loads(file.metadata()[KEY])
    save_file(load_file(path), path, metadata={KEY: json.dumps(entries | changes)})
    return path


def evaluate(path: Path) -> object:
    write_people(path.parent)
    store = people_store(path.parent, "val.crops", training=False)
    return open_evaluation(tiny_recipe(store, store), str(path))


READERS: dict[str, Callable[[Path], object]] = {
    "Predictor": Predictor.from_pretrained,
    "evaluate": evaluate,
    "teacher": lambda path: Teacher(TeacherRecipe(str(path)), PoseTask(SIZE, SIZE), SIZE),
    "label": open_pose,
    "serve": lambda path: load_predictor("pose", path),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_names_the_file(reader: str, tmp_path: Path) -> None:
    path = damage(tiny_weights(tmp_path / "damaged.safetensors"), names=["nose", "chin"])
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: there are 17 keypoints, and names for 2$"):
        READERS[reader](path)


def test_the_command_line_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = damage(tiny_weights(tmp_path / "damaged.safetensors"), names=["nose", "chin"])
    assert main(["export", str(path), "--out", str(tmp_path / "out")]) == 2
    assert f"{path}: there are 17 keypoints, and names for 2" in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("task", "changes", "told"),
    [
        ("pose", {"decoding": {"codec": "udpp"}}, "no codec 'udpp'"),
        ("pose", {"decoding": {"codec": "simcc"}}, "the codec 'simcc' reads the head simcc, .* say 'heatmap'"),
        ("pose", {"decoding": {"codec": 3}}, r"what it says of itself is damaged \("),
        ("pose", {"decoding": {"sigma": -1}}, "codec: sigma must be positive, got -1"),
        ("pose", {"keypoints": COCO.to_json() | {"flip_pairs": [[1.5, 2]]}}, r"KeypointSet.flip_pairs points at \[1.5"),
        ("pose", {"keypoints": COCO.to_json() | {"sigmas": [1]}}, "KeypointSet.sigmas must hold 17 numbers"),
        ("classification", {"names": ["cup", "cat"]}, "there are 3 classes, and names for 2"),
        ("classification", {"decoding": {"label_smoothing": 4}}, "label_smoothing must be at least 0 and below 1"),
        ("classification", {"decoding": {"label_smoothing": "a"}}, r"what it says of itself is damaged \("),
    ],
)
def test_whatever_is_damaged_is_told_with_the_file(
    task: str, changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.safetensors"
    options = {"num_classes": 3} if task == "classification" else {}
    save_weights(path, create_model("cmsa_n", task, SIZE, **TINY, **options))
    picture = np.zeros((20, 30, 3), np.uint8)
    assert len(Predictor.from_pretrained(path)(picture)) == 1
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: {told}"):
        Predictor.from_pretrained(damage(path, **changes))


@pytest.mark.parametrize("reader", [*READERS, "init"])
@pytest.mark.parametrize(
    ("crop", "told"),
    [
        ({"padding": "wide"}, "crop.padding must be a number above 0, got 'wide'"),
        ({"padding": -3}, "crop.padding must be a number above 0, got -3"),
        ({"padding": math.nan}, "crop.padding must be a number above 0, got nan"),
        ({"convention": "hrnett"}, "crop.convention must be one of pixel, udp, hrnet, got 'hrnett'"),
        ({"antialias": "no"}, "crop.antialias must be true or false, got 'no'"),
        ({"margin": []}, r"crop.margin must be one of .*, got \[\]"),
        ({"pading": 1}, "crop has no entry 'pading'; there are padding, convention, antialias, margin"),
    ],
)
def test_how_crops_are_cut_is_looked_at_by_every_reader(
    reader: str, crop: dict[str, Any], told: str, tmp_path: Path
) -> None:
    path = damage(tiny_weights(tmp_path / "damaged.safetensors"), crop=crop)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: .*{told}"):
        (READERS | {"init": read_description})[reader](path)


@pytest.mark.parametrize("mean", [[True, False, True], [10**400, 0, 0]])
def test_what_is_no_number_is_no_mean(mean: list[Any], tmp_path: Path) -> None:
    path = damage(tiny_weights(tmp_path / "damaged.safetensors"), mean=mean)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: .*mean and std must be three finite numbers"):
        Predictor.from_pretrained(path)
