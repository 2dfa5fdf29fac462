"""Ctrl-C and SIGTERM: noted when they come, obeyed between two batches, when all that is to be kept is consistent."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(RuntimeError):
    """A run was told to end, and left a checkpoint.

    Attributes:
        exit_code: of the process, as shells know it: 128 and the signal's number.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class SignalWatch:
    """Notes the first signal; a second one has the effect that it had before.

    Attributes:
        noted: the number of the signal, None before there is one.
    """

    def __init__(self) -> None:
        self.noted: int | None = None
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        """Begin to watch. Only the main thread can; elsewhere signals keep their effect."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def stop(self) -> None:
        """Give signals back the effect that they had."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _note(self, number: int, _: FrameType | None) -> None:
        self.noted = number
        # Who asks twice does not want to wait for a checkpoint.
        for each in SIGNALS:
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
