"""The command and the library say the same of the same pictures and boxes, for every task."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cmsa.inference.files import predict_files
from cmsa.inference.predictor import Predictor
from cmsa.models.create import create_model
from cmsa.models.weights import save_weights
from cmsa.tasks import TASKS

SIZES = {"pose": (32, 24), "head_pose": (32, 32), "classification": (32, 32)}
BOXES = [(10, 10, 30, 40), (40, 5, 24, 24)]


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "a.png"
    coarse = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((90, 60), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("boxes", [None, BOXES])
@pytest.mark.parametrize("task", SIZES)
def test_the_command_says_what_the_library_says(task, boxes, flip_test, photo, tmp_path, randomise, generator):
    torch.manual_seed(0)
    model = create_model("cmsa_n", task, SIZES[task], dims=(16, 16, 16)).eval()
    randomise(model, generator)
    # The margin is what the two disagreed about: it is for boxes of faces, not for whole pictures.
    margin = {"margin": "fsanet"} if task == "head_pose" else {}
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, model, crop={"padding": TASKS[task].padding, **margin})
    options = {"weights": weights, "box": boxes, "flip_test": flip_test, "out": tmp_path / "out", "runtime": "torch"}
    assert predict_files(TASKS[task].command, [photo], **options) == 0
    records = json.loads((tmp_path / "out" / f"{TASKS[task].result_name}.json").read_text(encoding="utf-8"))
    predictor = Predictor.from_pretrained(weights)
    values = predictor(photo, boxes, flip_test=flip_test)
    assert [record["bbox"] for record in records] == [list(box) for box in boxes or [(0, 0, 90, 60)]]
    for record, value in zip(records, values, strict=True):
        expected = json.loads(json.dumps(predictor.task.record(value, 1.0, 5)))
        assert {key: record[key] for key in expected} == expected


def test_a_whole_picture_is_not_widened_by_the_margin_of_faces(photo, tmp_path, monkeypatch):
    """The crops that are drawn are those that were predicted."""
    torch.manual_seed(0)
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, create_model("cmsa_n", "head_pose", (32, 32), dims=(16, 16, 16)), crop={"margin": "fsanet"})
    drawn = []
    draw = TASKS["head_pose"].draw

    def spy(task, image, values, crops, **options):
        drawn.extend(crops)
        return draw(task, image, values, crops, **options)

    monkeypatch.setattr(TASKS["head_pose"], "draw", spy)
    options = {"weights": weights, "out": tmp_path / "out", "runtime": "torch", "save_pictures": "png"}
    assert predict_files("head-pose", [photo], **options) == 0
    ((_, matrix),) = drawn
    # 90 pixels of the picture on 32 of the crop: the longer side, and nothing around it.
    assert matrix[0, 0] == pytest.approx(32 / 90)
