"""Cameras, over HTTP from this machine's own loopback. A camera by number is untested: no machine here has one."""

import logging

import cv2
import numpy as np
import pytest

from cmsa.inference.streams import live
from cmsa.inference.streams.frame import Frame, Notice
from cmsa.inference.streams.latest import latest
from cmsa.inference.streams.live import Retry, read_live
from cmsa.inference.streams.pace import Pace
from cmsa.inference.streams.read import Reading, read_frames
from cmsa.inference.streams.sources import SourceFinder

QUICK = Retry(first=0.02, longest=0.08, timeout=5)


def frames_of(items, count):
    return [next(item for item in items if isinstance(item, Frame)) for _ in range(count)]


def test_a_camera_that_drops_is_tried_again_and_told(camera):
    served = camera()
    items = read_live(f"http://127.0.0.1:{served.port}/video.mjpg", "door", Pace(), QUICK)
    before = frames_of(items, 5)
    served.stop()
    told, after = [], None
    while after is None:
        item = next(items)
        if isinstance(item, Notice):
            told.append(item)
            if len(told) == 3:
                served.start()
        elif told:
            after = item
        else:
            before.append(item)
    items.close()
    assert [frame.number for frame in before] == list(range(len(before)))
    assert after.number == len(before)
    assert after.time > before[-1].time > before[0].time >= 0
    texts = [notice.text for notice in told]
    waits = [0.02, 0.04, 0.08]
    assert texts[:-1] == [f"no more frames, trying again in {wait} s" for wait in waits[: len(texts) - 1]]
    assert texts[-1].startswith("back after")
    assert not any(notice.failed for notice in told)


def test_a_damaged_picture_is_passed_over(camera, monkeypatch):
    served = camera()
    encode, count = cv2.imencode, iter(range(10**6))

    def damaged(*arguments):
        done, jpeg = encode(*arguments)
        return done, np.zeros_like(jpeg) if next(count) % 10 == 4 else jpeg

    monkeypatch.setattr(cv2, "imencode", damaged)
    items = read_live(f"http://127.0.0.1:{served.port}/video.mjpg", "door", Pace(), QUICK)
    seen = [next(items) for _ in range(40)]
    items.close()
    assert all(isinstance(item, Frame) for item in seen)
    assert [frame.number for frame in seen] == list(range(40))
    # One connection to open it; none anew.
    assert len(served.asked_with) == 1


def test_the_password_reaches_the_camera_and_nobody_else(camera, caplog, capfd):
    served = camera(b"admin:p4ssw0rd")
    address = f"http://admin:p4ssw0rd@127.0.0.1:{served.port}/video.mjpg"
    with caplog.at_level(logging.DEBUG):
        items = read_frames(SourceFinder().find([address]), Reading(retry=Retry(0.02, 0.02, 0.1, 5)))
        frames = frames_of(items, 2)
        served.stop()
        told = [item for item in items if isinstance(item, Notice)]
        wrong = list(read_frames(SourceFinder().find([address]), Reading(retry=Retry(0.02, 0.02, 0.1, 5))))
    assert any(given for given in served.asked_with)
    assert frames[0].source == f"http://***@127.0.0.1:{served.port}/video.mjpg"
    assert told[-1].failed
    assert "given up" in told[-1].text
    assert "does not open" in wrong[0].text
    captured = capfd.readouterr()
    for text in (caplog.text, captured.out, captured.err, str(frames), str(told), str(wrong)):
        assert "p4ssw0rd" not in text
        assert "admin" not in text


class Fake:
    """A capture that gives so many frames each time it is opened."""

    opened, frames, time = True, 0, 0.0
    left: list[int]

    def __init__(self, target, timeout):
        self.count = self.left.pop(0) if self.left else 0
        self.opened = self.count != 0

    def grab(self):
        self.count -= 1
        return self.count >= 0

    def grab_behind_damage(self):
        return False

    def retrieve(self):
        return "picture"

    def close(self):
        pass


@pytest.fixture
def clocked(monkeypatch):
    """read_live on fakes, with a clock that only sleeping and frames move."""
    now = [100.0]

    def clock():
        now[0] += 0.01
        return now[0]

    def sleep(seconds):
        now[0] += seconds

    def read(left, **options):
        monkeypatch.setattr(live, "Capture", type("Made", (Fake,), {"left": left}))
        return list(read_live("rtsp://127.0.0.1:1/live", "door", Pace(), clock=clock, sleep=sleep, **options))

    return read


def test_waits_double_up_to_the_longest_and_end_with_patience(clocked):
    items = clocked([2], retry=Retry(first=0.5, longest=4, give_up=20))
    assert [item.text for item in items[2:-1]] == [
        f"no more frames, trying again in {wait} s" for wait in ("0.5", "1", "2", "4")
    ]
    # 0.5 + 1 + 2 and five times 4: after the longest wait, no more is said until it is given up.
    assert items[-1].text == "no frame for 23.7 s, given up"
    assert [item.failed for item in items[2:]] == [False] * 4 + [True]
    assert {item.label for item in items[2:]} == {"door, frame 1"}


def test_back_means_back_and_the_count_goes_on(clocked):
    items = clocked([2, 0, 3], retry=Retry(first=0.5, longest=4, give_up=3), after=9)
    assert [item.number for item in items if isinstance(item, Frame)] == [10, 11, 12, 13, 14]
    assert sum("back after" in item.text for item in items if isinstance(item, Notice)) == 1


def test_one_that_opens_but_sends_nothing_is_not_back(clocked):
    left = [2, *[-1] * 4, 1]
    items = clocked(left, retry=Retry(first=0.5, longest=4, give_up=10))
    texts = [item.text for item in items if isinstance(item, Notice)]
    assert texts[:5] == [*(f"no more frames, trying again in {wait} s" for wait in ("0.5", "1", "2", "4")), texts[4]]
    assert texts[4].startswith("back after 11.6")


def test_start_and_end_are_of_the_first_frame_on(clocked):
    times = [item.time for item in clocked([100], start=0.05, end=0.2)]
    assert min(times) >= 0.05
    assert max(times) < 0.2


def test_what_does_not_answer_yet_is_tried_again_and_told_once(clocked):
    items = clocked([0, 0, 0, 0, 3], retry=Retry(first=0.5, longest=2, give_up=60))
    told, back, *frames = items[:5]
    assert told.text.startswith("does not open: ")
    assert told.text.endswith("; tried again until it does")
    # 0.5 + 1 + 2 + 2, and what the clock itself takes.
    assert back.text == "answers after 5.6 s"
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert frames[0].time < 0.1
    assert not told.failed
    assert not back.failed


def test_what_never_answers_is_given_up_like_what_is_gone(clocked):
    told, last = clocked([], retry=Retry(first=0.5, longest=4, give_up=20))
    assert not told.failed
    assert last.failed
    assert last.text.startswith("does not open: ")
    assert last.text.endswith("given up after 23.6 s")


def test_a_camera_that_starts_late_is_read(camera):
    served = camera()
    served.stop()
    items = read_live(f"http://127.0.0.1:{served.port}/video.mjpg", "door", Pace(), QUICK)
    assert "Connection refused" in next(items).text
    served.start()
    assert next(items).text.startswith("answers after")
    assert next(items).number == 0
    items.close()


@pytest.mark.parametrize("wrong", [{"first": 0}, {"longest": -1}, {"give_up": 0}, {"timeout": float("nan")}])
def test_seconds_of_retrying_are_positive(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a positive number of seconds"):
        Retry(**wrong)


def test_a_slow_reader_gets_the_newest_frame_and_every_notice():
    import threading

    sent, go = threading.Event(), threading.Event()

    def items():
        yield Frame("first", "door", 0)
        go.wait(5)
        for number in range(1, 100):
            yield Frame(number, "door", number)
            if number == 50:
                yield Notice("door", "gone", False)
        sent.set()

    stream = latest(items())
    assert next(stream).picture == "first"
    go.set()
    sent.wait(5)
    rest = list(stream)
    assert [item.number for item in rest if isinstance(item, Frame)][-1] == 99
    assert len(rest) < 10
    assert [item.text for item in rest if isinstance(item, Notice)] == ["gone"]


def test_an_error_of_the_camera_s_thread_is_raised():
    def items():
        yield Frame("first", "door", 0)
        raise RuntimeError("burnt")

    with pytest.raises(RuntimeError, match="burnt"):
        list(latest(items()))
