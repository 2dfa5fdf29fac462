import inspect
import logging

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import cmsa
from cmsa.cli.main import build_parser
from cmsa.inference.detectors import Selection
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Retry
from cmsa.models.create import create_model
from cmsa.models.weights import save_weights


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    return Predictor(create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16)))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Two seconds of a bright block that walks before a wall."""
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (160, 120))
    for number in range(50):
        frame = np.full((120, 160, 3), 60, np.uint8)
        if number >= 10:
            frame[40:100, number : number + 20] = 230
        writer.write(frame)
    writer.release()
    return path


def test_a_video_to_people_who_move(predictor, video):
    frames = list(cmsa.stream(video, predictor=predictor, detector="motion", every=2))
    assert [frame.frame.number for frame in frames] == list(range(0, 50, 2))
    assert all(len(frame.people) == 0 for frame in frames[:5])
    walking = frames[8:]
    assert all(len(frame.people) == 1 for frame in walking)
    assert {frame.identities[0] for frame in walking} == {frames[-1].identities[0]}
    box = frames[-1].people[0].box
    np.testing.assert_allclose((box.x + box.width, box.y), (68, 40), atol=6)
    assert frames[-1].detections.source == "motion"


def test_a_frame_says_what_it_is_without_its_pixels(predictor, video):
    frame = list(cmsa.stream(video, predictor=predictor, detector="motion", every=35))[1]
    begin = f"FrameResult({video}, frame 35 at 1.40 s, 120x160 (HxW) pixels, 1 by motion: [Keypoints(score "
    assert repr(frame).startswith(begin)
    assert repr(frame.frame) == f"Frame({video}, frame 35 at 1.40 s, 120x160 (HxW) pixels)"
    assert "array" not in repr(frame.cut)
    assert len(repr(frame.cut)) < 300


def test_times_are_told_to_a_microsecond(predictor, video):
    times = [frame.frame.time for frame in cmsa.stream(video, predictor=predictor)]
    assert times == [round(0.04 * number, 6) for number in range(50)]
    assert all(len(str(time)) <= 4 for time in times)


def test_pictures_that_cannot_be_read_are_told_and_the_others_done(predictor, tmp_path, caplog):
    Image.fromarray(np.zeros((40, 30, 3), np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with caplog.at_level(logging.INFO):
        (frame,) = cmsa.stream(tmp_path, predictor=predictor)
    assert frame.frame.path == tmp_path / "b.png"
    assert "a.png: cannot be decoded" in caplog.text
    assert "each whole picture is taken as one person" in caplog.text


def test_the_arguments_are_the_command_s(predictor, video, tmp_path):
    """Name for name and default for default, but for those that are one object here."""
    command = build_parser()._subparsers._group_actions[0].choices["predict"]
    options = {action.dest: action.default for action in command._actions}
    own = inspect.signature(cmsa.stream).parameters
    for name in set(own) & set(options):
        assert own[name].default == options[name], name
    ours = {"source", "predictor", "selection", "tracker", "retry"}
    theirs = {"help", "task", "inputs", "boxes", "box", "threshold", "min_size", "max_people", "expand", "give_up"}
    theirs |= {"out", "resume", "save_pictures", "save_video", "track", "top", "cube", "quiet"}
    theirs |= {"engine", "workers", "shard_size"}
    assert set(own) - ours == set(options) - theirs


def test_weights_threads_and_precision_are_those_of_the_predictor_made_here(predictor, video, tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16)))
    options = {"weights": path, "runtime": "torch", "threads": torch.get_num_threads(), "precision": "bf16"}
    frames = list(cmsa.stream(video, **options, every=25))
    assert len(frames) == 2
    with pytest.raises(ValueError, match=r"^weights, threads: of a predictor that is made here, and one is given"):
        cmsa.stream(video, predictor=predictor, weights=path, threads=1)
    with pytest.raises(ValueError, match="give a predictor or weights, not both"):
        cmsa.stream(video, predictor=path, weights=path)


def test_a_selection_counts(predictor, video):
    frames = cmsa.stream(video, predictor=predictor, detector="motion", selection=Selection(minimum_size=100))
    assert sum(len(frame.people) for frame in frames) == 0


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("gone.mp4", "gone.mp4: there is no such file or folder"),
        ("*.gone", "no file fits this pattern"),
        (".", "holds no picture and no video"),
    ],
)
def test_what_is_not_there_is_raised_at_once(predictor, tmp_path, monkeypatch, named, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=told):
        cmsa.stream(named, predictor=predictor)


def test_what_cannot_be_read_at_all_is_raised_at_the_end(predictor, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    frames = cmsa.stream(tmp_path / "broken.mp4", predictor=predictor)
    with pytest.raises(OSError, match=r"broken\.mp4: cannot be opened as a video"):
        list(frames)


def test_a_camera_that_never_answers_is_raised(predictor):
    frames = cmsa.stream("http://127.0.0.1:1/live", predictor=predictor, retry=Retry(0.01, 0.01, 0.05, 1))
    with pytest.raises(OSError, match=r"does not open: nothing answers there .*given up after"):
        list(frames)


def test_wrong_arguments_are_told_before_anything_is_read(predictor):
    with pytest.raises(ValueError, match="no detector 'dance'"):
        cmsa.stream("gone.mp4", predictor=predictor, detector="dance")
    with pytest.raises(ValueError, match="a detector takes"):
        cmsa.stream("gone.mp4", predictor=predictor, detector=3)
    with pytest.raises(ValueError, match="every must be at least 1"):
        cmsa.stream("gone.mp4", predictor=predictor, every=0)


def test_a_tracker_is_no_name(predictor):
    with pytest.raises(ValueError, match="tracker must be True, False or a tracker, got 'iou'"):
        cmsa.stream("photo.png", predictor=predictor, tracker="iou")
