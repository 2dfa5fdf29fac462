"""Annotated pictures and videos, drawn and encoded beside the network, by threads that few frames wait for."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2

from cmsa.inference.pipeline import FrameResult
from cmsa.inference.streams.capture import Capture
from cmsa.tasks import Task
from cmsa.visualization.draw import draw
from cmsa.visualization.panel import Picture
from cmsa.visualization.picture_file import save_picture

ANNOTATED = "annotated"
"""The sub-folder of annotated pictures."""
PictureFormat = Literal["jpg", "png"]

_MOST_BYTES = 200
"""Of a file's name; file systems allow 255, and a suffix is to come."""
_AHEAD = 8
_UNFINISHED = ".partial.mp4"


class PicturePlaces:
    """Files for annotated pictures: all differ, and none is one of the inputs.

    Args:
        folder: where they go.
        suffix: of the files.
        inputs: paths that are not to be written to.
        keep: nor are files that are there already, those of an earlier run.
    """

    def __init__(self, folder: Path, suffix: str, inputs: Iterable[str] = (), keep: bool = False) -> None:
        self.folder, self.suffix, self.keep = folder, suffix, keep
        self._taken = {os.path.abspath(path) for path in inputs}

    def take(self, place: Path) -> Path:
        """The file for what goes to ``place`` below the folder."""
        place = place.with_name(shortened(place.name))
        path, number = self.folder / f"{place}{self.suffix}", 1
        while os.path.abspath(path) in self._taken or (self.keep and path.exists()):
            number += 1
            path = self.folder / f"{place}-{number}{self.suffix}"
        self._taken.add(os.path.abspath(path))
        return path


def shortened(name: str) -> str:
    """The name if a file system takes it with a suffix, else its beginning and a few letters that tell it apart."""
    content = os.fsencode(name)
    if len(content) <= _MOST_BYTES:
        return name
    return content[:_MOST_BYTES].decode("utf-8", "ignore") + "-" + hashlib.sha256(content).hexdigest()[:8]


@dataclass
class _OpenVideo:
    """A video that is being written; its first frame waits for the second, which says how fast they come.

    An MP4 plays only when it was closed, so it bears another name until then.
    """

    source: str
    path: Path
    first: tuple[Picture, float] | None = None
    writer: Any = None
    size: tuple[int, int] = (0, 0)
    count: int = 0

    def add(self, picture: Picture, time: float) -> None:
        if self.writer is None and self.first is None:
            self.first = picture, time
            return
        if self.writer is None:
            assert self.first is not None
            self._open(1 / max(1e-3, time - self.first[1]))
        self._write(picture)

    def close(self) -> None:
        if self.writer is None and self.first is not None:
            self._open(1.0)
        if self.writer is not None:
            self.writer.release()
            self._check()
            self._unfinished.replace(self.path)

    def _check(self) -> None:
        """OpenCV says nothing of a disk that is full."""
        written = Capture(str(self._unfinished))
        frames = written.frames
        written.close()
        if frames != self.count:
            raise OSError(f"{self._unfinished}: holds {frames} of {self.count} frames; is the disk full?")

    @property
    def _unfinished(self) -> Path:
        return self.path.with_suffix(_UNFINISHED)

    def _open(self, fps: float) -> None:
        assert self.first is not None
        first = self.first[0]
        self.size = first.shape[1], first.shape[0]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.writer = cv2.VideoWriter(
            str(self._unfinished), cv2.VideoWriter.fourcc(*"mp4v"), min(fps, 120.0), self.size
        )
        if not self.writer.isOpened():
            raise OSError(f"{self.path}: the video cannot be written")
        self._write(first)

    def _write(self, picture: Picture) -> None:
        if (picture.shape[1], picture.shape[0]) != self.size:
            picture = cv2.resize(picture, self.size)  # type: ignore[assignment]
        self.writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self.count += 1


def not_drawn_again(folder: Path) -> list[str]:
    """What to tell whoever resumes a run that draws: what was done is not drawn again, and what a killed run lost.

    Args:
        folder: where pictures and videos go.
    """
    lost = sorted(folder.rglob(f"*{_UNFINISHED}"))
    return [
        "what the earlier run did is not drawn again; a video goes on in another file",
        *(f"{path}: the earlier run did not close it, so it does not play: its frames are lost" for path in lost),
    ]


class Drawing:
    """Draws results; full queues make whoever brings them wait.

    Args:
        folder: where pictures and videos go.
        task: that knows how to draw its values.
        pictures: format of annotated pictures, which show the crop that the network saw; None draws none.
        video: write an MP4 of each video and camera.
        top: how many classes to show.
        cube: draw heads as cubes.
        inputs: paths that are not to be written to.
        keep: what an earlier run drew stays; a video goes on in another file.
        failed: told of a picture that cannot be drawn, and why.
    """

    def __init__(
        self,
        folder: Path,
        task: Task,
        pictures: PictureFormat | None = None,
        video: bool = False,
        *,
        top: int = 5,
        cube: bool = False,
        inputs: Iterable[str] = (),
        keep: bool = False,
        failed: Callable[[str, str], None] = lambda name, reason: None,
    ) -> None:
        self.folder, self.task, self.pictures, self.video = folder, task, pictures, video
        self.top, self.cube, self.failed = top, cube, failed
        self._places = PicturePlaces(folder, f".{pictures}", inputs, keep)
        self._videos = PicturePlaces(folder, ".mp4", inputs, keep)
        self._open: _OpenVideo | None = None
        self._frames: tuple[str, Path] = ("", Path())
        self._workers = ThreadPoolExecutor(2, "draw")
        # Frames of a video are written in order.
        self._film = ThreadPoolExecutor(1, "film")
        self._room = threading.BoundedSemaphore(_AHEAD)
        self._error: BaseException | None = None

    def make_room(self, result: FrameResult) -> None:
        """Wait until a result can be added; to be called before ``add``, which does not wait.

        So whoever is interrupted, which mostly happens while waiting, has not begun with the result.

        Raises:
            OSError: an earlier one could not be written.
        """
        self._raise()
        for _ in range((self.pictures is not None) + self._films(result)):
            self._room.acquire()

    def add(self, result: FrameResult) -> None:
        """Draw a result, soon."""
        if self.pictures is not None:
            self._submit(self._workers, self._draw, result, self._picture_path(result))
        if self._films(result):
            self._submit(self._film, self._shoot, result)

    def close(self) -> None:
        """Wait until all is drawn, and finish the video so that it plays.

        Raises:
            OSError: something could not be written.
        """
        self._workers.shutdown()
        finished = self._film.submit(self._finish)
        self._film.shutdown()
        self._error = self._error or finished.exception()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _films(self, result: FrameResult) -> bool:
        return self.video and result.frame.time is not None

    def _submit(self, workers: ThreadPoolExecutor, work: Callable[..., None], *arguments: Any) -> None:
        workers.submit(work, *arguments).add_done_callback(self._done)

    def _done(self, future: Future[None]) -> None:
        self._room.release()
        self._error = self._error or future.exception()

    def _picture_path(self, result: FrameResult) -> Path:
        frame = result.frame
        if frame.time is None:
            return self._places.take(frame.place)
        if frame.source != self._frames[0]:
            self._frames = frame.source, self._places.take(frame.place).with_suffix("")
        return self._frames[1] / f"{frame.number:06d}.{self.pictures}"

    def _draw(self, result: FrameResult, path: Path) -> None:
        crops = [(region.crop, region.matrix) for region in result.cut.regions]
        try:
            drawn = self.task.draw(result.frame.picture, result.values, crops, top=self.top, cube=self.cube)
        except Exception as error:  # whatever is wrong with this picture, the others are not to suffer
            self.failed(result.frame.label, f"cannot be drawn ({error})")
            return
        save_picture(drawn, path)

    def _shoot(self, result: FrameResult) -> None:
        frame = result.frame
        assert frame.time is not None
        if self._open is None or self._open.source != frame.source:
            self._finish()
            self._open = _OpenVideo(frame.source, self._videos.take(frame.place))
        self._open.add(draw(frame.picture, result.values, result.identities, cube=self.cube), frame.time)

    def _finish(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
