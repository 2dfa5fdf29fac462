"""Errors of the system and of other libraries, as a user reads them."""

from __future__ import annotations

import errno

import pytest

from cmsa.guidance.errors import error_text, first_line


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.png"), "a.png: No such file or directory"),
        (PermissionError(errno.EACCES, "Permission denied", b"caf\xc3\xa9"), "caf\u00e9: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("127.0.0.1:80 cannot be listened on"), "127.0.0.1:80 cannot be listened on"),
        (ValueError("a.png: is no picture"), "a.png: is no picture"),
    ],
)
def test_an_error_of_the_system_names_its_file_and_no_number(error, text):
    assert error_text(error) == text


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("\nno such layer\n  at node 3\n"), "no such layer"),
        (RuntimeError("disk full"), "disk full"),
        (MemoryError(), "MemoryError"),
        (KeyError(" \n"), "' \\n'"),
    ],
)
def test_the_first_line_of_an_error_or_its_kind(error, line):
    assert first_line(error) == line
