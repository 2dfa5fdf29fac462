import re

import numpy as np
import pytest

from cmsa.inference.streams.capture import Capture
from cmsa.inference.streams.frame import Frame, Notice
from cmsa.inference.streams.pace import Pace
from cmsa.inference.streams.video import read_video


def read(path, **options):
    items = list(read_video(str(path), path.name, options.pop("pace", Pace()), **options))
    frames = [item for item in items if isinstance(item, Frame)]
    return frames, [item for item in items if isinstance(item, Notice)]


def test_frames_come_in_order_with_their_times_in_red_green_blue(make_video, tmp_path):
    frames, notices = read(make_video(tmp_path / "a.mp4"))
    assert [frame.number for frame in frames] == list(range(50))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(50) / 25, atol=1e-6)
    np.testing.assert_allclose([frame.picture[20, 40].mean() for frame in frames], 4 * np.arange(50), atol=6)
    red, green, blue = frames[30].picture[20, 2]
    assert blue > 200 > red + green
    assert frames[0].picture.shape == (48, 64, 3)
    assert notices == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pace": Pace(every=20)}, [0, 20, 40]),
        ({"pace": Pace(fps=5)}, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45]),
        ({"pace": Pace(fps=10), "end": 0.5}, [0, 3, 5, 8, 10]),
        ({"start": 1.8}, [45, 46, 47, 48, 49]),
        ({"start": 0.2, "end": 0.4}, [5, 6, 7, 8, 9]),
        ({"pace": Pace(every=20), "after": 20}, [40]),
        ({"after": 49}, []),
    ],
)
def test_which_frames_are_taken(make_video, tmp_path, options, expected):
    frames, notices = read(make_video(tmp_path / "a.mp4"), **options)
    assert [frame.number for frame in frames] == expected
    assert notices == []


def test_a_truncated_video_keeps_what_was_decoded_and_says_where_it_stops(make_video, tmp_path):
    path = make_video(tmp_path / "a.avi", code="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, (notice,) = read(path)
    assert 5 < len(frames) < 30
    np.testing.assert_allclose(
        [frame.picture[20, 40].mean() for frame in frames[:-1]], 4 * np.arange(len(frames) - 1), atol=6
    )
    assert notice.failed
    assert notice.number == frames[-1].number
    assert notice.text == f"stops at {frames[-1].time:.2f} s, after {len(frames)} of 50 frames"


def test_what_is_cut_short_is_told_once_and_gone_on_with_when_it_has_grown(make_video, tmp_path):
    path = make_video(tmp_path / "a.avi", code="MJPG")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (_, (notice,)) = read(path)
    assert read(path, after=notice.number) == ([], [])
    path.write_bytes(whole)
    frames, _ = read(path, after=notice.number)
    assert [frame.number for frame in frames] == list(range(notice.number + 1, 50))


@pytest.fixture
def damaged(make_video, tmp_path):
    """A video of fifty JPEGs, of which the 20th is none."""
    path = make_video(tmp_path / "a.avi", code="MJPG")
    content = bytearray(path.read_bytes())
    starts = [found.start() for found in re.finditer(b"\xff\xd8\xff", bytes(content))]
    content[starts[20] : starts[21] - 8] = bytes(starts[21] - 8 - starts[20])
    path.write_bytes(content)
    return path


def test_frames_behind_a_damaged_part_are_read_and_the_part_is_told(damaged):
    frames, (notice,) = read(damaged)
    assert [frame.number for frame in frames] == list(range(49))
    shown = [number for number in range(50) if number != 20]
    np.testing.assert_allclose([frame.picture[20, 40].mean() for frame in frames], 4 * np.array(shown), atol=6)
    np.testing.assert_allclose([frame.time for frame in frames], np.array(shown) / 25, atol=1e-6)
    assert notice.failed
    assert notice.text == "damaged at 0.76 s, goes on at 0.84 s"
    assert notice.label == "a.avi, frame 19"


@pytest.mark.parametrize("after", [18, 19, 20, 30])
def test_a_run_that_goes_on_is_told_of_damage_that_it_has_not_passed(damaged, after):
    frames, notices = read(damaged, after=after)
    assert [frame.number for frame in frames] == list(range(after + 1, 49))
    assert len(notices) == (after < 19)


def test_a_corrupt_video_says_where_it_stops(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4")
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 1500
    content[start : start + 1100] = np.random.default_rng(0).bytes(1100)
    path.write_bytes(content)
    frames, notices = read(path)
    assert 5 <= len(frames) < 50
    assert notices[-1].text == f"stops at {frames[-1].time:.2f} s, after {len(frames)} of 50 frames"


def test_nothing_but_what_it_gives_tells_of_what_is_wrong(damaged, tmp_path, capfd):
    """OpenCV and FFmpeg would write lines of their own to standard error."""
    (tmp_path / "b.mp4").write_bytes(damaged.read_bytes()[:200])
    assert read(damaged)[1]
    assert read(tmp_path / "b.mp4")[1]
    assert not Capture("http://127.0.0.1:9/live", 1).opened
    assert not Capture(99).opened
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_what_is_no_video_is_told(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    frames, (notice,) = read(path)
    assert (frames, notice.source) == ([], "a.mp4")
    assert notice.text == "cannot be opened as a video (damaged, cut short, or no video)"
    path.unlink()
    assert read(path)[1][0].text == "there is no such file"


def test_a_video_filmed_upright_comes_upright(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4", count=3)
    content = bytearray(path.read_bytes())
    # The track header's matrix, 16.16 numbers (ISO 14496-12, 8.3.2): a quarter turn clockwise.
    place = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    numbers = [0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30]
    content[place : place + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    path.write_bytes(content)
    frames, _ = read(path)
    assert frames[0].picture.shape == (64, 48, 3)
    # The blue column at the left is now the row at the top.
    assert frames[0].picture[2, :, 2].min() > 200
    assert frames[0].picture[20:, :, 2].max() < 60


def test_reading_can_end_at_any_time(make_video, tmp_path):
    items = read_video(str(make_video(tmp_path / "a.mp4")), "a.mp4", Pace())
    assert next(items).number == 0
    items.close()
