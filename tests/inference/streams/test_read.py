import os

import numpy as np
import pytest
from PIL import Image

from cmsa.inference.streams.frame import Frame, Notice
from cmsa.inference.streams.read import Reading, read_frames
from cmsa.inference.streams.sources import SourceFinder


@pytest.fixture
def folder(tmp_path, monkeypatch, make_video):
    """Pictures, a broken one, and a video of ten frames."""
    monkeypatch.chdir(tmp_path)
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    for name in ("a.png", "z.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    (tmp_path / "l.png").symlink_to("l.png")
    make_video(tmp_path / "v.mp4", count=10)
    return pixels


def read(*inputs, done=None, **options):
    return list(read_frames(SourceFinder().find(inputs), Reading(**options), done))


def told(items):
    return [
        (item.source, item.number) if isinstance(item, Frame) else (item.source, item.text.split(" (")[0])
        for item in items
    ]


def test_everything_in_turn(folder):
    items = read(".", every=4)
    assert told(items) == [
        ("a.png", 0),
        ("b.jpg", "cannot be decoded"),
        ("l.png", "cannot be read"),
        ("v.mp4", 0),
        ("v.mp4", 4),
        ("v.mp4", 8),
        ("z.png", 0),
    ]
    np.testing.assert_array_equal(items[0].picture, folder)
    assert (items[0].time, items[0].path.name) == (None, "a.png")
    assert items[4].time == pytest.approx(0.16)


def test_what_was_done_is_not_done_again(folder):
    assert told(read("a.png", "v.mp4", "z.png", done={"a.png": 0, "v.mp4": 7})) == [
        ("v.mp4", 8),
        ("v.mp4", 9),
        ("z.png", 0),
    ]


def test_names_that_are_no_text_and_long_ones_cost_the_others_nothing(folder):
    os.rename(b"z.png", b"caf\xe9.png")
    os.rename("b.jpg", "b" * 250 + ".png")
    sources = [item.source for item in read(".") if isinstance(item, Frame)]
    assert "caf\\xe9.png" in sources
    assert [item.source for item in read(".") if isinstance(item, Notice)] == ["b" * 250 + ".png", "l.png"]


def test_one_picture_at_a_time(folder):
    items = read_frames(SourceFinder().find(["v.mp4"]), Reading())
    assert next(items).number == 0
    items.close()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"start": -1}, "start must be 0 seconds or more, got -1"),
        ({"start": 2, "end": 2}, "end must be later than the start at 2 s, got 2 s"),
        ({"every": 2, "fps": 1}, "not both"),
        ({"every": 0}, "every must be at least 1"),
    ],
)
def test_wrong_readings_are_named(wrong, told):
    with pytest.raises(ValueError, match=told):
        Reading(**wrong)
