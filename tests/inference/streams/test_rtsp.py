"""RTSP as cameras of the network speak it: a password, a stream, a loss and a return."""

import numpy as np
import pytest
from rtsp_camera import RtspCamera

from cmsa.inference.streams import Frame, Notice, Reading, Retry, SourceFinder, read_frames

QUICK = Retry(first=0.02, longest=0.08, give_up=5, timeout=3)


def frame_of(number):
    """A frame (BGR) that is as bright as its number, with a blue column at the left."""
    frame = np.full((48, 64, 3), 4 * (number % 60), np.uint8)
    frame[:, :16] = 255, 0, 0
    return frame


@pytest.fixture
def camera():
    made = RtspCamera(frame_of, b"me:secret")
    yield made
    made.stop()


def test_a_camera_of_the_network_is_read_lost_and_found(camera):
    address = f"rtsp://me:secret@127.0.0.1:{camera.port}/live"
    items = read_frames(SourceFinder().find([address]), Reading(retry=QUICK))
    before = [next(items) for _ in range(5)]
    camera.stop()
    lost = next(item for item in items if isinstance(item, Notice))
    camera.start()
    after = next(item for item in items if isinstance(item, Frame))
    items.close()
    assert [frame.number for frame in before] == list(range(5))
    assert {frame.source for frame in before} == {f"rtsp://***@127.0.0.1:{camera.port}/live"}
    # JPEG keeps flat squares of 16 pixels to a grey level or two.
    for number, frame in enumerate(before):
        assert frame.picture.shape == (48, 64, 3)
        np.testing.assert_allclose(frame.picture[:, 16:], 4 * number, atol=2)
        np.testing.assert_allclose(frame.picture[:, :16].mean((0, 1)), (0, 0, 255), atol=2)
    assert lost.text == "no more frames, trying again in 0.02 s"
    assert after.number == lost.number + 1
    assert after.time > before[-1].time


def test_a_camera_with_another_password_is_told_and_not_named(camera):
    address = f"rtsp://me:guess@127.0.0.1:{camera.port}/live"
    reading = Reading(retry=Retry(0.02, 0.02, 0.1, 3))
    first, last = read_frames(SourceFinder().find([address]), reading)
    assert "the machine answers, but gives no video (wrong path, user or password?); tried again" in first.text
    assert last.failed
    assert "guess" not in f"{first}{last}"
