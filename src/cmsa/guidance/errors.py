"""Errors as a user reads them."""

from __future__ import annotations

import os


def error_text(error: BaseException) -> str:
    """An error as a user reads it: of the system's, first the file and then what is wrong, without a number."""
    if isinstance(error, OSError) and error.strerror:
        named = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
        return f"{named}: {error.strerror}" if named else error.strerror
    return str(error)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, for those of other libraries, which go on for many; or else its kind.

    Examples:
        >>> first_line(RuntimeError("no such layer\\n  at node 3"))
        'no such layer'
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
