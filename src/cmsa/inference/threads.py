"""Stages that run beside each other: an iterator read ahead in a thread, within bounds."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")
PATIENCE = 5.0
"""Seconds that the end waits for an item that was begun; a camera that sends nothing is left to itself then."""


def ahead(items: Iterator[Item], most: int) -> Generator[Item, None, None]:
    """Read ``items`` in a thread, at most ``most`` of them ahead of whoever takes them here.

    The order stays. An error of ``items`` is raised here, after what came before it. When this iterator is closed, the
    thread ends, and ``items`` is closed in it; that is waited for, but not longer than ``PATIENCE``.
    """
    ready: queue.Queue[tuple[Item] | None] = queue.Queue(most)
    failed: list[BaseException] = []
    stop = threading.Event()

    def put(entry: tuple[Item] | None) -> None:
        while not stop.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def read() -> None:
        try:
            for item in items:
                put((item,))
                if stop.is_set():
                    break
        except BaseException as error:
            failed.append(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            put(None)

    thread = threading.Thread(target=read, name="read ahead", daemon=True)
    thread.start()
    try:
        while (entry := ready.get()) is not None:
            yield entry[0]
        if failed:
            raise failed[0]
    finally:
        stop.set()
        # A thread that is inside of a runtime when the process ends takes the process down with it.
        thread.join(PATIENCE)
