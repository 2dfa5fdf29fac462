"""Errors as a user reads them, in one line."""

from __future__ import annotations

import os


def error_text(error: BaseException) -> str:
    """An error as a user reads it: of the system's, first the file and then what is wrong, without a number."""
    if isinstance(error, OSError) and error.strerror:
        named = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
        return f"{named}: {error.strerror}" if named else error.strerror
    return str(error)
