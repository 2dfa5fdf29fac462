"""Video files: frames with their own times, and a word where the file ends before its end."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cmsa.inference.streams.capture import Capture
from cmsa.inference.streams.frame import Frame, Item, Notice
from cmsa.inference.streams.pace import Pace

_TOLERANCE = 0.01
"""Where a file has no list of its frames, their number is guessed from its length."""


def read_video(
    target: str,
    name: str,
    pace: Pace,
    start: float = 0.0,
    end: float | None = None,
    after: int = -1,
    capture: Capture | None = None,
) -> Iterator[Item]:
    """The frames of a video, one in memory at a time.

    Args:
        target: path of the file.
        name: what results and messages call it.
        pace: which frames to take.
        start: seconds; frames before it are not taken.
        end: seconds; the first frame at or after it ends the reading; None reads all.
        after: frames up to this number are not taken: those that were done before.
        capture: of the file, where it is open already.

    Yields:
        Frames, counted as they can be decoded; a notice where a damaged part is passed over, and at last one if the
        file cannot be opened, or if it stops before the frames that it announces. What an earlier run was told is not
        told again.
    """
    capture = capture or Capture(target)
    try:
        if not capture.opened:
            missing = not os.path.exists(target)
            text = (
                "there is no such file" if missing else "cannot be opened as a video (damaged, cut short, or no video)"
            )
            yield Notice(name, text)
            return
        number, time = -1, 0.0
        while (intact := capture.grab()) or (number + 1 < capture.frames and capture.grab_behind_damage()):
            if not intact and (number > after or after < 0):
                last = None if number < 0 else number
                yield Notice(name, f"damaged at {time:.2f} s, goes on at {capture.time:.2f} s", number=last)
            number, time = number + 1, capture.time
            if end is not None and time >= end:
                return
            if time < start or not pace.takes(number, time) or number <= after:
                continue
            picture = capture.retrieve()
            if picture is None:
                yield Notice(name, f"frame {number} at {time:.2f} s cannot be decoded", number=number)
            else:
                yield Frame(picture, name, number, time)
        missing_frames = capture.frames - (number + 1)
        if number < 0:
            yield Notice(name, f"none of its {capture.frames} frames can be decoded")
        elif missing_frames > max(1, _TOLERANCE * capture.frames) and number > after:
            yield Notice(name, f"stops at {time:.2f} s, after {number + 1} of {capture.frames} frames", number=number)
    finally:
        capture.close()
