"""Frames of a video file, a camera or an address.

Through OpenCV, not PyAV: OpenCV is here already, its wheel carries a current FFmpeg, opens the cameras of the machine
through the same interface, turns frames as their metadata say, and skips frames without converting them. PyAV would be
a second FFmpeg of 30 MB beside it. What PyAV does better is to say why a stream ended; OpenCV only ends, so a video
that is cut short is told from its announced length.

Once this is imported, OpenCV and its FFmpeg no longer write to standard error, in lines that name neither file nor
frame: what goes wrong is told by whoever reads. ``OPENCV_LOG_LEVEL`` and ``OPENCV_FFMPEG_LOGLEVEL``, where the user has
set them, stay.
"""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np

from cmsa.inference.streams.frame import Picture
from cmsa.inference.streams.names import is_address

# OpenCV reads it when it first opens a video; -8 is FFmpeg's "quiet".
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

DIGITS = 6
"""Of times in seconds: no container counts finer than microseconds, and what is behind them is rounding."""
_OPEN_SECONDS = 10.0
_DAMAGED_READS = 16
"""One read passes over several frames that cannot be decoded; at the end of a file each takes microseconds."""


class Capture:
    """An opened video, camera or address.

    Args:
        target: a path, an address, or the number of a camera.
        timeout: seconds to wait for an address to answer or to send the next frame.

    Attributes:
        frames: how many frames the source says it has; 0 where it does not know.
    """

    def __init__(self, target: str | int, timeout: float = _OPEN_SECONDS) -> None:
        if isinstance(target, int):
            self._capture: Any = cv2.VideoCapture(target)
        else:
            # Of another backend's own accord OpenCV would print the address, password and all.
            waits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC] if is_address(target) else []
            settings = [number for wait in waits for number in (wait, int(1000 * timeout))]
            self._capture = cv2.VideoCapture(target, cv2.CAP_FFMPEG, settings)
        self.opened = bool(self._capture.isOpened())
        self.frames = max(0, int(self._get(cv2.CAP_PROP_FRAME_COUNT))) if self.opened else 0

    def grab(self) -> bool:
        """Go to the next frame; False at the end, before what cannot be decoded, or where the source is gone."""
        return bool(self._capture.grab())

    def grab_behind_damage(self) -> bool:
        """Go to the next frame of a file behind what cannot be decoded; False where none follows."""
        return any(self._capture.grab() for _ in range(_DAMAGED_READS))

    def retrieve(self) -> Picture | None:
        """The frame that was grabbed, (H, W, 3) uint8 RGB; None where it cannot be decoded."""
        try:
            ok, frame = self._capture.retrieve()
        except cv2.error:
            return None
        if not ok or frame is None or frame.size == 0:
            return None
        if frame.ndim == 2:
            return np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB), np.uint8)
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)

    @property
    def time(self) -> float:
        """Seconds from the beginning to the frame that was grabbed, by the file's own time stamps, to a microsecond."""
        return round(self._get(cv2.CAP_PROP_POS_MSEC) / 1000, DIGITS)

    def close(self) -> None:
        """Let go of the file, the camera or the connection."""
        self._capture.release()

    def _get(self, property: int) -> float:
        value = float(self._capture.get(property))
        return value if np.isfinite(value) else 0.0
