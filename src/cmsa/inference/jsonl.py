"""Results as JSON Lines: one line for each picture or frame, written at once, so that a killed run loses nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from cmsa.files.read_json import JsonError, parse_json
from cmsa.files.write_json import plain

Record = dict[str, Any]

_CHUNK = 1 << 20


class ResultsError(ValueError):
    """A results file that cannot be gone on with; the message names the file and the line."""


class ResultLines:
    """A file to which results are added, line by line; each line is in the system's hands when ``write`` returns.

    Args:
        path: of the file; its folder must exist.
        resume: go on after the last whole line of a file that is there; otherwise it is replaced.

    Attributes:
        done: the number of the last frame of each source that is in the file, by the source's name; -1 for a picture,
            and for a video of which no frame is there.
        lines: how many lines the file has.

    Raises:
        ResultsError: a line of the file to go on with is no result, or another run writes into the file.
        OSError: the file cannot be written.
    """

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        self.path = Path(path)
        self.done: dict[str, int] = {}
        self.lines = 0
        self._length = 0
        # Windows would write two bytes for the end of a line, and the length that is kept would be another.
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            self._lock()
            if resume:
                self._read()
            # A line that a kill tore apart is dropped; its picture is not in ``done``.
            os.ftruncate(self._file, self._length)
            os.lseek(self._file, self._length, os.SEEK_SET)
        except BaseException:
            self.close()
            raise

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a line.

        Args:
            record: ``file`` names the source, ``frame`` the number of the frame, if it has one. Numbers that JSON
                does not have (NaN, infinity) become null.

        Raises:
            OSError: there is no room left. The file then ends with the line before.
        """
        line = (_text(record) + "\n").encode("utf-8", "backslashreplace")
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except BaseException:
            os.ftruncate(self._file, self._length)
            os.lseek(self._file, self._length, os.SEEK_SET)
            raise
        self._length += len(line)
        self.lines += 1

    def _lock(self) -> None:
        try:
            import fcntl
        except ModuleNotFoundError:  # no such locks on Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResultsError(f"{self.path}: another run writes into it") from error
        except OSError:  # nor on some network drives
            return

    def _read(self) -> None:
        for record, end in _records(self.path):
            name = str(record["file"])
            frame = record.get("frame")
            self.done[name] = max(-1 if frame is None else int(frame), self.done.get(name, -1))
            self.lines += 1
            self._length = end

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_results(path: str | Path) -> Iterator[Record]:
    """The results in a file, one in memory at a time; a torn last line is left out.

    Raises:
        ResultsError: a line is no result.
        OSError: the file cannot be read.
    """
    for record, _ in _records(Path(path)):
        yield record


def _text(record: Mapping[str, Any]) -> str:
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        # Few records hold what JSON does not have; to look through all of them would take longer than to write them.
        return json.dumps(plain(record), ensure_ascii=False, allow_nan=False)


def _records(path: Path) -> Iterator[tuple[Record, int]]:
    """Each whole line's record, and how many bytes the file has up to the line's end."""
    end = 0
    with path.open("rb", buffering=_CHUNK) as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            try:
                record = parse_json(line, f"{path}, line {number}")
            except JsonError as error:
                raise ResultsError(str(error)) from error
            if not isinstance(record, dict) or not isinstance(record.get("file"), str):
                raise ResultsError(f"{path}, line {number}: is no result, which is an object with a file")
            if not isinstance(record.get("frame"), int | None):
                raise ResultsError(f"{path}, line {number}: its frame must be a whole number, got {record['frame']!r}")
            yield record, end
