"""What a user names -> what can be read: files, folders, globs, lists, standard input, cameras and addresses."""

from __future__ import annotations

import codecs
import glob
import io
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import unquote, urlsplit

from cmsa.data.image import PICTURE_SUFFIXES
from cmsa.inference.streams.frame import Notice
from cmsa.inference.streams.names import is_address, public_name

VIDEOS = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".ogv", ".wmv", ".flv"),
        *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".mjpg", ".mjpeg"),
    )
)
LISTS = frozenset((".txt", ".lst"))
"""Files of a folder with other ends are not looked at. A file that is named and is no video or list is a picture."""

_OUTPUT = "annotated"
_RESULTS = "results.jsonl", "keypoints.json", "head_pose.json", "classes.json"
"""Pictures that this program drew lie in a folder of this name, beside one of these files."""

Kind = Literal["picture", "video", "camera", "address"]


@dataclass(frozen=True)
class Source:
    """Something that gives pictures.

    Attributes:
        kind: ``picture`` or ``video`` for files, ``camera`` for one of this machine, ``address`` for a network's.
        target: the path, the number of the camera, or the address; may hold a password.
        name: how results and messages call it.
        place: where what is made of it goes below a folder of results, without suffix.
    """

    kind: Kind
    target: str
    name: str
    place: Path


@dataclass
class SourceFinder:
    """Finds sources, each path once.

    Attributes:
        recursive: look into sub-folders.
        exclude: folders that are left out.
        stdin: what ``-`` reads; standard input by default.
    """

    recursive: bool = True
    exclude: tuple[Path, ...] = ()
    stdin: BinaryIO | None = None
    _seen: set[str] = field(default_factory=set)

    def find(self, inputs: Iterable[str | Path]) -> Iterator[Source | Notice]:
        """Sources in the order given, folders in the order of their names; and what gave none, and why.

        Args:
            inputs: picture and video files; folders, hidden ones left out; globs, ``**`` for any depth; ``.txt`` files
                with one input a line, but for comments behind ``#`` unless a file is called so; ``-`` for such lines on
                standard input; the number of a camera; addresses (``rtsp://``, ``http://`` and whatever else FFmpeg
                reads).
        """
        for given in inputs:
            yield from self._one(os.fspath(given))

    def _one(self, text: str, base: Path | None = None) -> Iterator[Source | Notice]:
        if not text:
            yield Notice("''", "is an empty name, of no file", missing=True)
        elif text == "-" and base is None:
            # None where it was closed before the start.
            stdin = self.stdin or getattr(sys.stdin, "buffer", None)
            yield from self._lines(stdin, None) if stdin else [Notice("-", "standard input is closed", missing=True)]
        elif is_address(text):
            yield from self._address(text)
        else:
            path = Path(text)
            if base is not None and not path.is_absolute() and not os.path.lexists(path):
                path = base / path
            yield from self._path(path, text)

    def _address(self, text: str) -> Iterator[Source | Notice]:
        name = public_name(text)
        try:
            parts = urlsplit(name)
        except ValueError as error:
            yield Notice(name, f"is no valid address ({error})")
            return
        if parts.scheme == "file":
            yield from self._one(unquote(urlsplit(text).path))
        else:
            yield Source("address", text, name, Path(parts.hostname or "stream"))

    def _path(self, path: Path, text: str) -> Iterator[Source | Notice]:
        if not os.path.lexists(path):
            if text.isdecimal():
                yield Source("camera", text, f"camera {int(text)}", Path(f"camera-{int(text)}"))
            elif glob.has_magic(text):
                longest_first = sorted(glob.glob(str(path), recursive=True), key=len, reverse=True)
                found = {_one_way(Path(name)): name for name in longest_first}
                if not found:
                    yield Notice(public_name(text), "no file fits this pattern", missing=True)
                for name in sorted(found.values()):
                    yield from self._path(Path(name), name)
            else:
                yield Notice(public_name(text), "there is no such file or folder", missing=True)
        elif path.is_dir():
            yield from self._folder(path)
        elif path.suffix.lower() in LISTS:
            yield from self._list(path)
        else:
            yield from self._file(path, Path(path.stem))

    def _list(self, path: Path) -> Iterator[Source | Notice]:
        try:
            with path.open("rb") as lines:
                yield from self._lines(lines, path.parent)
        except OSError as error:
            yield Notice(public_name(path), f"cannot be read ({error.strerror})")

    def _lines(self, lines: BinaryIO, base: Path | None) -> Iterator[Source | Notice]:
        for number, line in enumerate(lines):
            if number == 0 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                # As some shells write what they are told to; its lines do not end where bytes do.
                whole = (line + lines.read()).decode("utf-16", errors="replace").encode()
                yield from self._lines(io.BytesIO(whole), base)
                return
            text = os.fsdecode((line.removeprefix(codecs.BOM_UTF8) if number == 0 else line).rstrip(b"\r\n"))
            if text.strip() and not self._is_comment(text, base or Path()):
                yield from self._one(text, base or Path())

    def _is_comment(self, text: str, base: Path) -> bool:
        return text.lstrip().startswith("#") and not any(os.path.lexists(path) for path in (text, base / text))

    def _file(self, path: Path, place: Path) -> Iterator[Source | Notice]:
        one_way = _one_way(path)
        if one_way not in self._seen:
            self._seen.add(one_way)
            kind: Kind = "video" if path.suffix.lower() in VIDEOS else "picture"
            yield Source(kind, os.fspath(path), public_name(path), place)

    def _folder(self, folder: Path) -> Iterator[Source | Notice]:
        count = 0
        here = folder.stat()
        walked = {(here.st_dev, here.st_ino): public_name(folder)}
        failed: list[OSError] = []
        for root, subfolders, files in os.walk(folder, onerror=failed.append, followlinks=True):
            kept = []
            for name in sorted(subfolders) if self.recursive else ():
                path = Path(root, name)
                if name.startswith(".") or self._is_excluded(path):
                    continue
                status = path.stat()
                first = walked.setdefault((status.st_dev, status.st_ino), public_name(path))
                if first != public_name(path):
                    yield Notice(public_name(path), f"leads to the same folder as {first}, and is left out")
                    continue
                kept.append(name)
            subfolders[:] = kept
            for name in sorted(files):
                if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES | VIDEOS:
                    count += 1
                    path = Path(root, name)
                    if path.suffix.lower() in VIDEOS and path.exists() and not path.is_file():
                        yield Notice(public_name(path), "is a pipe or a device, and no file")
                        continue
                    yield from self._file(path, path.relative_to(folder).with_suffix(""))
        for error in failed:
            yield Notice(public_name(error.filename), f"cannot be looked into ({error.strerror})")
        if not count and not failed:
            yield Notice(public_name(folder), "the folder holds no picture and no video", missing=True)

    def _is_excluded(self, folder: Path) -> bool:
        if folder.name == _OUTPUT and any((folder.parent / name).exists() for name in _RESULTS):
            return True
        return any(os.path.abspath(folder) == os.path.abspath(other) for other in self.exclude)


def _one_way(path: Path) -> str:
    """The way to a file without links to folders, which lead there on many; a link to a file is a name of its own."""
    return os.path.join(os.path.realpath(path.parent), path.name)
