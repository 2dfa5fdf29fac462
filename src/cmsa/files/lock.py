"""One process at a time in a folder, by a lock of the system's, which no dead process leaves behind."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


class FolderInUseError(RuntimeError):
    """Another process works in the folder."""


@contextmanager
def only_process_in(folder: Path) -> Iterator[int | None]:
    """Keep other processes that ask for it out of a folder, which is made where it is missing.

    Where the system has no such lock (Windows, some network drives), that is logged and nobody is kept out.

    Yields:
        The descriptor that holds the lock, where there is one: a process that inherits it is in the folder, too, until
        it ends, even if this one is killed.

    Raises:
        FolderInUseError: another process is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        logger.info("%s: this system cannot lock a folder; let no two processes write into it", folder)
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUseError(
                f"{folder}: another process works in this folder; wait for it or choose another one"
            ) from error
        except OSError as error:
            logger.warning("%s: cannot be locked (%s); let no two processes write into it", folder, error.strerror)
        yield handle
    finally:
        os.close(handle)
