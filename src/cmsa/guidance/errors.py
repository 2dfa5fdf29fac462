"""Errors as a user reads them."""

from __future__ import annotations

import os
import re

_OF_SOURCES = re.compile(r"Exception from \S+:$|Check '.*' failed at \S+:$")


def error_text(error: BaseException) -> str:
    """An error as a user reads it: of the system's, first the file and then what is wrong, without a number."""
    if isinstance(error, OSError) and error.strerror:
        named = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
        return f"{named}: {error.strerror}" if named else error.strerror
    return str(error)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, for those of other libraries, which go on for many; or else its kind.

    OpenVINO begins with the places in its sources, which say nothing to a user.

    Examples:
        >>> first_line(RuntimeError("no such layer\\n  at node 3"))
        'no such layer'
        >>> first_line(RuntimeError("Exception from src/core.cpp:84:\\nCheck 'x' failed at src/a.cpp:8:\\nno weights"))
        'no weights'
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if not _OF_SOURCES.match(line)), lines[0])
