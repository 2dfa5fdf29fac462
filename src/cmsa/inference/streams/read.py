"""All inputs, one after the other, as one stream of frames."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cmsa.data.image import ImageError, read_image
from cmsa.inference.streams.frame import Frame, Item, Notice
from cmsa.inference.streams.latest import latest
from cmsa.inference.streams.live import Retry, read_live
from cmsa.inference.streams.pace import Pace
from cmsa.inference.streams.sources import Source
from cmsa.inference.streams.video import read_video


@dataclass(frozen=True)
class Reading:
    """How sources are read. Picture files are always read whole.

    Attributes:
        every: of videos and cameras, every n-th frame.
        fps: of videos and cameras, at most so many frames a second.
        start: seconds to leave out at the beginning.
        end: seconds from the beginning at which to stop; None: never.
        drop: of cameras and addresses, give the newest frame and drop what came meanwhile.
        retry: how a camera that is gone is tried again.

    Raises:
        ValueError: a number is out of its range, or both ``every`` and ``fps`` are given.
    """

    every: int = 1
    fps: float | None = None
    start: float = 0.0
    end: float | None = None
    drop: bool = False
    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        self.pace()
        if not 0 <= self.start < math.inf:
            raise ValueError(f"start must be 0 seconds or more, got {self.start:g}")
        if self.end is not None and not self.end > self.start:
            raise ValueError(f"end must be later than the start at {self.start:g} s, got {self.end:g} s")

    def asked(self) -> dict[str, bool]:
        """Which of its options, all of them of videos and cameras, say something."""
        plain = Reading()
        named = ("every", "fps", "start", "end", "drop")
        found = {name: getattr(self, name) != getattr(plain, name) for name in named}
        return found | {"give_up": self.retry.give_up is not None}

    def pace(self) -> Pace:
        """A new pace, for one source."""
        return Pace(self.every, self.fps)


def read_frames(
    sources: Iterable[Source | Notice], reading: Reading | None = None, done: Mapping[str, int] | None = None
) -> Iterator[Item]:
    """The pictures of all sources in turn; one picture is in memory at a time.

    Args:
        sources: what ``SourceFinder.find`` gives; notices are passed on.
        reading: how to read them.
        done: of an earlier run, the number of the last frame of each source, by its name. Pictures named there are
            left out; of videos, frames up to that number; cameras go on counting.
    """
    reading, done = reading or Reading(), done or {}
    for source in sources:
        if isinstance(source, Notice):
            yield source
        elif source.kind == "picture":
            if source.name not in done:
                yield _picture(source)
        elif source.kind == "video":
            after = done.get(source.name, -1)
            frames = read_video(source.target, source.name, reading.pace(), reading.start, reading.end, after)
            yield from _placed(frames, source)
        else:
            target = int(source.target) if source.kind == "camera" else source.target
            frames = read_live(
                target,
                source.name,
                reading.pace(),
                reading.retry,
                reading.end,
                start=reading.start,
                after=done.get(source.name, -1),
            )
            yield from _placed(latest(frames) if reading.drop else frames, source)


def _placed(items: Iterator[Item], source: Source) -> Iterator[Item]:
    for item in items:
        yield replace(item, place=source.place) if isinstance(item, Frame) else item


def _picture(source: Source) -> Item:
    try:
        return Frame(read_image(source.target), source.name, path=Path(source.target), place=source.place)
    except ImageError as error:
        return Notice(source.name, str(error).removeprefix(f"{source.target}: "))
    except (OSError, MemoryError) as error:
        return Notice(source.name, os.fsencode(f"cannot be read ({error})").decode("utf-8", "backslashreplace"))
