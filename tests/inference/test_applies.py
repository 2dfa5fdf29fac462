"""What cannot do anything is refused: options by inputs, boxes and tasks."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

import cmsa
from cmsa.inference.detectors import DetectorError, Selection
from cmsa.inference.files import predict_files
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Reading, Retry
from cmsa.models.create import create_model
from cmsa.models.weights import save_weights

SIZES = {"pose": (32, 24), "head_pose": (32, 32), "classification": (32, 32)}
COMMANDS = {"pose": "pose", "head_pose": "head-pose", "classification": "classify"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for task, size in SIZES.items():
        save_weights(folder / f"{task}.safetensors", create_model("cmsa_n", task, size, dims=(16, 16, 16)))
    return folder


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.zeros((40, 30, 3), np.uint8)).save(path)
    return path


def refused(capsys, weights, task, inputs, out, **options):
    given = {"weights": weights / f"{task}.safetensors", "runtime": "torch", "out": out / "out"} | options
    assert predict_files(COMMANDS[task], inputs, **given) == 2
    assert not (out / "out").exists()
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"save_video": True}, "--save-video"),
        ({"track": True}, "--track"),
        ({"smooth": True}, "--smooth"),
        ({"reading": Reading(every=2)}, "--every"),
        ({"reading": Reading(fps=2)}, "--fps"),
        ({"reading": Reading(start=1)}, "--start"),
        ({"reading": Reading(end=1)}, "--end"),
        ({"reading": Reading(drop=True)}, "--drop"),
        ({"reading": Reading(retry=Retry(give_up=9))}, "--give-up"),
    ],
)
def test_what_is_of_frames_is_refused_for_photos(capsys, weights, photo, tmp_path, options, name):
    told = refused(capsys, weights, "pose", [photo], tmp_path, **options)
    assert told == f"cmsa predict: {name} is for videos and cameras, and the inputs are photos"


@pytest.mark.parametrize(
    ("selection", "name"),
    [
        (Selection(score=0.5), "--threshold"),
        (Selection(minimum_size=8), "--min-size"),
        (Selection(maximum=1), "--max-people"),
        (Selection(expansion=1.1), "--expand"),
    ],
)
@pytest.mark.parametrize("boxes", [{}, {"detector": "none"}, {"box": (1, 2, 20, 30)}])
def test_what_chooses_among_detections_wants_some(capsys, weights, photo, tmp_path, selection, name, boxes):
    told = refused(capsys, weights, "pose", [photo], tmp_path, selection=selection, **boxes)
    assert told == f"cmsa predict: {name} is for boxes of a detector or of a file, and there is neither"


@pytest.mark.parametrize(
    ("task", "options", "told"),
    [
        ("pose", {"top": 5}, "--top is for tasks that give classes, and the task is pose"),
        ("pose", {"cube": True}, "--cube is for head pose, and the task is pose"),
        ("head_pose", {"top": 3}, "--top is for tasks that give classes, and the task is head-pose"),
        ("classification", {"cube": True}, "--cube is for head pose, and the task is classify"),
    ],
)
def test_what_is_of_other_tasks_is_refused(capsys, weights, photo, tmp_path, task, options, told):
    assert refused(capsys, weights, task, [photo], tmp_path, **options) == f"cmsa predict: {told}"


def test_smoothing_is_of_keypoints(capsys, weights, tmp_path):
    told = refused(capsys, weights, "classification", ["http://127.0.0.1:1/live"], tmp_path, smooth=True)
    assert told == "cmsa predict: --smooth is for keypoints, and the task is classify"


@pytest.mark.parametrize(
    ("detector", "told"),
    [
        ("motion", "motion compares each picture with those before it, and here each is taken alone"),
        ("head:none", "the detector finds faces, and pose of these weights is of whole people"),
        ("head:", "head: needs a detector of people behind it, e.g. head:nanodet.onnx"),
    ],
)
def test_detectors_that_cannot_serve_are_refused(capsys, weights, photo, tmp_path, detector, told):
    assert refused(capsys, weights, "pose", [photo], tmp_path, detector=detector) == f"cmsa predict: {told}"


def test_a_folder_with_a_video_in_it_takes_all_of_them(weights, photo, tmp_path):
    (tmp_path / "walk.mp4").write_bytes(b"no video")
    Image.open(photo).save(tmp_path / "photo.png")
    options = {"runtime": "torch", "out": tmp_path / "out", "track": True, "quiet": True}
    code = predict_files("pose", [tmp_path], weights=weights / "pose.safetensors", detector="motion", **options)
    assert code == 1


def test_motion_takes_the_pictures_of_a_folder_for_frames(weights, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        picture = np.full((60, 90, 3), 90, np.uint8)
        picture[20:44, 10 * number + 8 : 10 * number + 22] = rng.integers(150, 255, (24, 14, 3))
        Image.fromarray(picture).save(tmp_path / f"{number:04}.png")
    predictor = Predictor.from_pretrained(weights / "pose.safetensors")
    frames = list(cmsa.stream(tmp_path, predictor=predictor, detector="motion"))
    assert [bool(frame.people) for frame in frames] == [False, True, True, True]


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"smooth": True}, ValueError, "smooth is for videos and cameras, and the inputs are photos"),
        ({"every": 3}, ValueError, "every is for videos and cameras"),
        ({"selection": Selection(maximum=2)}, ValueError, "max_people is for boxes of a detector or of a file"),
        ({"detector": "motion"}, DetectorError, "motion compares each picture"),
        ({"detector": "head:none"}, DetectorError, "the detector finds faces"),
    ],
)
def test_a_stream_refuses_the_same(weights, photo, options, error, told):
    predictor = Predictor.from_pretrained(weights / "pose.safetensors")
    with pytest.raises(error, match=re.escape(told)):
        cmsa.stream(photo, predictor=predictor, **options)
    assert len(list(cmsa.stream(photo, predictor=predictor, drop=True))) == 1
