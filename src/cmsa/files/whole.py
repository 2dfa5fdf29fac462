"""A file that appears whole or not at all; what was there before stays until then."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes ``path`` when the block ends.

    If the block fails, by a full disk for instance, what was written is removed and ``path`` is as it was. Whoever
    writes, the file's mode follows the umask.

    Raises:
        OSError: the folder cannot be written; ``path`` is named.
    """
    refuse_unwritable(path)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        mode = partial.stat().st_mode
        yield partial
        os.chmod(partial, mode)
        partial.replace(path)
    except OSError as error:
        raise type(error)(error.errno, f"cannot be written ({error.strerror or error})", str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def refuse_unwritable(path: Path) -> None:
    """Find out before the work, not after it, that its result cannot be written.

    Raises:
        OSError: a folder is there, or a file where a folder must be, or nothing may be written there.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "cannot be written (it is a folder)", str(path))
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"cannot be written ({above} is no folder)", str(path))
    if not os.access(above, os.W_OK):
        raise PermissionError(errno.EACCES, f"cannot be written ({above} is read-only)", str(path))


def refuse_own_input(out: Path, *inputs: Path | None) -> None:
    """Nothing overwrites what it reads.

    Raises:
        ValueError: ``out`` is one of the inputs, by whatever name.
    """
    for given in inputs:
        if given is not None and given.exists() and out.exists() and out.samefile(given):
            raise ValueError(f"{out}: is read, and would be overwritten: choose another file")
