"""Only the newest frame: what a slow reader of a camera misses is dropped, not queued."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from cmsa.inference.streams.frame import Frame, Item, Notice


def latest(items: Iterator[Item]) -> Iterator[Item]:
    """Read ``items`` in a thread as fast as they come, and give the newest frame whenever one is asked for.

    Notices are all kept, in front of the frame that follows them. The frames' numbers show how many were dropped.
    An error of ``items`` is raised here.
    """
    changed = threading.Condition()
    notices: list[Notice] = []
    newest: list[Frame] = []
    ended: list[BaseException | None] = []
    stop = threading.Event()

    def read() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if stop.is_set():
                    break
                with changed:
                    if isinstance(item, Frame):
                        newest[:] = [item]
                    else:
                        notices.append(item)
                    changed.notify()
        except BaseException as raised:
            error = raised
        finally:
            with changed:
                ended.append(error)
                changed.notify()

    threading.Thread(target=read, name="newest frame", daemon=True).start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: notices or newest or ended)
                told, frames = [*notices], [*newest]
                notices.clear()
                newest.clear()
            yield from told
            yield from frames
            if ended and not (notices or newest):
                if ended[0] is not None:
                    raise ended[0]
                return
    finally:
        stop.set()
