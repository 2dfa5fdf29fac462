import os
import resource
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from cmsa.inference.cuts import CutPicture
from cmsa.inference.detectors import Detections
from cmsa.inference.files.drawing import Drawing, PicturePlaces, shortened
from cmsa.inference.pipeline import FrameResult
from cmsa.inference.streams import Frame
from cmsa.tasks.pose.task import PoseTask
from cmsa.visualization.picture_file import save_picture

TASK = PoseTask((32, 24), (32, 24))


def frame(number):
    """A frame of noise in which nobody was found."""
    picture = np.random.default_rng(number).integers(0, 256, (96, 128, 3), np.uint8)
    shown = Frame(picture, "door.mp4", number, number / 25, place=Path("door"))
    return FrameResult(shown, (), (), Detections((), (), (), "none"), CutPicture((), (), {}))


@contextmanager
def room_for(size):
    """No file of this process can grow past so many bytes: to whoever writes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_annotated_pictures_never_meet_each_other_or_an_input(tmp_path):
    places = PicturePlaces(tmp_path, ".png", [str(tmp_path / "a.png")])
    taken = [places.take(Path(name)) for name in ("a", "a", "sub/a", "a", "a.b")]
    assert taken == [tmp_path / name for name in ("a-2.png", "a-3.png", "sub/a.png", "a-4.png", "a.b.png")]


def test_what_an_earlier_run_drew_stays(tmp_path):
    for name in ("a.png", "a-2.png"):
        (tmp_path / name).write_bytes(b"drawn")
    assert PicturePlaces(tmp_path, ".png").take(Path("a")) == tmp_path / "a.png"
    assert PicturePlaces(tmp_path, ".png", keep=True).take(Path("a")) == tmp_path / "a-3.png"


@pytest.mark.parametrize("name", ["b" * 250, "木" * 80, os.fsdecode(b"\xe9" * 230)])
def test_long_names_are_shortened_and_stay_apart(tmp_path, name):
    short = shortened(name)
    assert len(os.fsencode(short)) <= 220
    assert short != shortened(name + "c")
    assert shortened("weiß") == "weiß"
    save_picture(np.zeros((4, 5, 3), np.uint8), tmp_path / f"{short}.jpg")


def film(drawing, count):
    for number in range(count):
        drawing.make_room(frame(number))
        drawing.add(frame(number))


def test_a_video_bears_its_name_when_it_plays(tmp_path):
    drawing = Drawing(tmp_path, TASK, video=True)
    film(drawing, 5)
    assert not (tmp_path / "door.mp4").exists()
    drawing.close()
    assert [path.name for path in tmp_path.iterdir()] == ["door.mp4"]


def test_a_video_that_the_disk_has_no_room_for_is_told(tmp_path):
    drawing = Drawing(tmp_path, TASK, video=True)
    with room_for(50_000):
        film(drawing, 30)
        with pytest.raises(OSError, match=r"door\.partial\.mp4: holds .* of 30 frames; is the disk full"):
            drawing.close()
    assert not (tmp_path / "door.mp4").exists()


def test_whoever_brings_results_waits_for_room_and_not_within_add(tmp_path, monkeypatch):
    go, started = threading.Event(), []
    monkeypatch.setattr(Drawing, "_draw", lambda self, result, path: started.append(path) or go.wait(10))
    drawing = Drawing(tmp_path, TASK, "jpg")
    # Eight wait or are drawn; there is no room for a ninth.
    film(drawing, 8)
    waiting = threading.Thread(target=drawing.make_room, args=(frame(8),))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    go.set()
    waiting.join(10)
    assert not waiting.is_alive()
    drawing.add(frame(8))
    drawing.close()
    assert len(started) == 9
