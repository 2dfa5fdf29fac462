"""Cameras and addresses: frames as they come, tried again where they stop coming."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from cmsa.inference.streams.capture import DIGITS, Capture
from cmsa.inference.streams.frame import Frame, Item, Notice
from cmsa.inference.streams.pace import Pace
from cmsa.inference.streams.unopened import why_unopened
from cmsa.inference.streams.video import read_video

Clock = Callable[[], float]


@dataclass(frozen=True)
class Retry:
    """How a source that is gone is tried again: after ``first`` seconds, then each time after twice as many.

    Attributes:
        first: seconds before the first try.
        longest: the longest that is waited between two tries.
        give_up: seconds without an answer or a frame after which it is given up; None never does.
        timeout: seconds to wait for an answer or the next frame of an address.

    Raises:
        ValueError: one of them is no positive number of seconds.
    """

    first: float = 0.5
    longest: float = 30.0
    give_up: float | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        for name in ("first", "longest", "give_up", "timeout"):
            seconds = getattr(self, name)
            if not (seconds is None and name == "give_up") and not 0 < seconds < math.inf:
                raise ValueError(f"{name} must be a positive number of seconds, got {seconds}")


def read_live(
    target: str | int,
    name: str,
    pace: Pace,
    retry: Retry | None = None,
    end: float | None = None,
    *,
    start: float = 0.0,
    after: int = -1,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Item]:
    """The frames of a camera or an address, one in memory at a time.

    An address that announces how many frames it has is a video file and read as one.

    Args:
        target: the number of a camera, or an address.
        name: what results and messages call it.
        pace: which frames to take.
        retry: how to try again.
        end: seconds since the first frame after which to stop; None goes on for ever.
        start: seconds since the first frame; frames before it are not taken.
        after: number of the last frame of an earlier run; the count goes on after it.
        clock: seconds that never go back.
        sleep: waits for so many seconds.

    Yields:
        Frames, whose time is that of their arrival; notices when the source does not answer at the beginning, answers
        at last, stops, comes back, or is given up, and while it is gone one for each longer wait. Single pictures that
        cannot be decoded are passed over.
    """
    retry = retry or Retry()
    capture = yield from _opened(target, name, retry, clock, sleep)
    if capture is None:
        return
    if isinstance(target, str) and capture.frames > 0:
        yield from read_video(target, name, pace, start, end, after, capture)
        return
    number, began = after, clock()
    seen = began
    wait, told = retry.first, 0.0

    def notice(text: str, failed: bool = False) -> Notice:
        return Notice(name, text, failed, None if number < 0 else number)

    try:
        while True:
            # One damaged picture is no reason to connect anew; what was waited for in vain is.
            while capture.grab() or (clock() - seen < retry.timeout / 2 and capture.grab_behind_damage()):
                if told:
                    yield notice(f"back after {clock() - seen:.1f} s")
                    wait, told = retry.first, 0.0
                seen = clock()
                passed = round(seen - began, DIGITS)
                number += 1
                if end is not None and passed >= end:
                    return
                if passed < start or not pace.takes(number, passed):
                    continue
                picture = capture.retrieve()
                if picture is not None:
                    yield Frame(picture, name, number, passed, live=True)
            capture.close()
            gone = clock() - seen
            if retry.give_up is not None and gone >= retry.give_up:
                yield notice(f"no frame for {gone:.1f} s, given up", failed=True)
                return
            if wait > told:
                yield notice(f"no more frames, trying again in {wait:g} s")
            told = wait
            sleep(wait)
            wait = min(2 * wait, retry.longest)
            # One that does not open has no frames either.
            capture = Capture(target, retry.timeout)
    finally:
        capture.close()


def _opened(
    target: str | int, name: str, retry: Retry, clock: Clock, sleep: Callable[[float], None]
) -> Generator[Item, None, Capture | None]:
    """The source, once it answers; None where it was given up. A camera may need longer to start than we do."""
    asked, wait, told = clock(), retry.first, False
    while not (capture := Capture(target, retry.timeout)).opened:
        capture.close()
        if retry.give_up is not None and clock() - asked >= retry.give_up:
            yield Notice(name, f"{why_unopened(target, retry.timeout)}, given up after {clock() - asked:.1f} s")
            return None
        if not told:
            yield Notice(name, f"{why_unopened(target, retry.timeout)}; tried again until it does", failed=False)
            told = True
        sleep(wait)
        wait = min(2 * wait, retry.longest)
    if told:
        yield Notice(name, f"answers after {clock() - asked:.1f} s", failed=False)
    return capture
